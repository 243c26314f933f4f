// Numbers as they are sent.
function bytesIn(text) {
  const letters = atob(text), found = new Uint8Array(letters.length);
  for (let i = 0; i < found.length; i++) found[i] = letters.charCodeAt(i);
  return found;
}

export const singles = text => new Float32Array(bytesIn(text).buffer);  // base64 of float32

const half = Float32Array.from({ length: 65536 }, (_, bits) => {
  const fraction = bits & 1023, exponent = bits >> 10 & 31;
  return (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24) * (bits >> 15 ? -1 : 1);
});

export function floats(text) {  // float16
  const bits = new Uint16Array(bytesIn(text).buffer), found = new Float32Array(bits.length);
  for (let i = 0; i < found.length; i++) found[i] = half[bits[i]];
  return found;
}

// Pixels inside (1) and outside (0), from the lengths of their runs, the first one outside.
export function insideOf(lengths, pixels) {
  const inside = new Uint8Array(pixels);
  let at = 0;
  lengths.forEach((length, i) => { if (i % 2) inside.fill(1, at, at + length); at += length; });
  return inside;
}
