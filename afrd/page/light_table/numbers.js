// Numbers that came as text.
const bytesIn = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

export const singles = text => new Float32Array(bytesIn(text).buffer);  // base64 of float32

const half = Float32Array.from({ length: 65536 }, (_, bits) => {
  const fraction = bits & 1023, exponent = bits >> 10 & 31;
  return (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24) * (bits >> 15 ? -1 : 1);
});

export const floats = text => Float32Array.from(new Uint16Array(bytesIn(text).buffer), bits => half[bits]);  // float16
