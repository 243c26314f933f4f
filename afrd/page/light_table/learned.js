// Learned attention in the browser, as `afrd.model.learned_fusion`. A light's own part, two 3x3 convolutions, is worked
// out once a sample; where the lights meet there are 1x1 layers only, so that any set of them is a matter of a frame.
import { floats, singles } from './numbers.js';

const MIN_WEIGHT = 1e-12;  // as in afrd.model.fusion
const TABLE = 4096, REACH = 6;  // gelu between -6 and 6, beyond which it is 0 or its argument
const gelus = Float32Array.from({ length: TABLE + 2 }, (_, i) => gelu((2 * i / TABLE - 1) * REACH));

function gelu(x) {  // with the error function of Abramowitz and Stegun, 7.1.26
  const t = 1 / (1 + 0.3275911 * Math.abs(x) / Math.SQRT2);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const part = 1 - series * Math.exp(-x * x / 2);
  return 0.5 * x * (1 + Math.sign(x) * part);
}

function soft(x) {
  if (x <= -REACH) return 0;
  if (x >= REACH) return x;
  const at = (x / REACH + 1) * TABLE / 2, low = at | 0;
  return gelus[low] + (gelus[low + 1] - gelus[low]) * (at - low);
}

function ringed(planes, count, high, wide) {  // with the border repeated around each plane
  const [rows, columns] = [high + 2, wide + 2], found = new Float32Array(count * rows * columns);
  for (let plane = 0, n = 0; plane < count; plane++) {
    for (let y = 0; y < rows; y++) {
      const row = plane * high + Math.min(high - 1, Math.max(0, y - 1));
      for (let x = 0; x < columns; x++, n++) found[n] = planes[row * wide + Math.min(wide - 1, Math.max(0, x - 1))];
    }
  }
  return found;
}

function convolved(planes, { weight, bias }, inward, high, wide) {  // 3x3, and gelu
  const outward = bias.length, length = high * wide, across = wide + 2, source = ringed(planes, inward, high, wide);
  const found = new Float32Array(outward * length);
  for (let out = 0; out < outward; out++) {
    const plane = found.subarray(out * length, (out + 1) * length).fill(bias[out]);
    for (let c = 0; c < inward; c++) {
      const from = c * (high + 2) * across, k = weight.subarray((out * inward + c) * 9, (out * inward + c + 1) * 9);
      const [k0, k1, k2, k3, k4, k5, k6, k7, k8] = k;
      for (let y = 0, n = 0; y < high; y++) {
        for (let x = 0, a = from + y * across; x < wide; x++, n++, a++) {
          const b = a + across, d = b + across;
          plane[n] += k0 * source[a] + k1 * source[a + 1] + k2 * source[a + 2] + k3 * source[b] + k4 * source[b + 1] +
            k5 * source[b + 2] + k6 * source[d] + k7 * source[d + 1] + k8 * source[d + 2];
        }
      }
    }
    for (let n = 0; n < length; n++) plane[n] = soft(plane[n]);
  }
  return found;
}

function mixed(planes, weight, bias, length) {  // 1x1
  const inward = planes.length / length, outward = weight.length / inward, found = new Float32Array(outward * length);
  for (let out = 0; out < outward; out++) {
    const plane = found.subarray(out * length, (out + 1) * length).fill(bias ? bias[out] : 0);
    for (let c = 0; c < inward; c++) {
      const factor = weight[out * inward + c], from = c * length;
      for (let n = 0; n < length; n++) plane[n] += factor * planes[from + n];
    }
  }
  return found;
}

function layers({ weights }) {
  const named = name => weights[name] && singles(weights[name]);
  const layer = name => ({ weight: named(`${name}.weight`), bias: named(`${name}.bias`) });
  return { first: layer('local.0'), second: layer('local.2'), own: layer('own'), mean: layer('mean'),
    largest: layer('largest'), outer: layer('outer'), sharpness: named('sharpness')[0] };
}

// The terms of a light's evidence, in units of their means on good parts; from them its error and the weight of the
// formula in the pictures' units.
export function ofTerms(text, { names, normal }, light) {
  const terms = floats(text), length = terms.length / names.length;
  const units = normal[light], at = ['evidence', 'plain', 'contrast'].map(name => names.indexOf(name));
  const [errors, plain, contrast] = at.map(row =>
    terms.subarray(row * length, (row + 1) * length).map(value => value * units[row]));
  return { terms, errors, weights: errors.map((error, i) => error * plain[i] * contrast[i]) };
}

function alone(evidence, { net, names, floor }, [high, wide]) {  // what a light brings by itself
  const length = high * wide, logs = evidence.terms.map(value => Math.log(value + floor));
  const features = convolved(convolved(logs, net.first, names.length, high, wide), net.second, net.first.bias.length,
    high, wide);
  const row = names.indexOf('evidence');
  return { features, own: mixed(features, net.own.weight, net.own.bias, length),
    inMean: mixed(features, net.mean.weight, null, length),
    logs: evidence.weights.map(weight => net.sharpness * Math.log(Math.max(weight, MIN_WEIGHT))),
    maps: evidence.terms.slice(row * length, (row + 1) * length).map(value => value + floor) };
}

// Errors M_l and weights a_l on the grid, of the lights that are on; `learned` is that of `fusion` in the scene.
export function attend(lights, learned, grid) {
  learned.net ??= layers(learned);
  const { net } = learned, length = grid[0] * grid[1];
  for (const { evidence } of lights) evidence.alone ??= alone(evidence, learned, grid);
  const found = lights.map(({ evidence }) => evidence.alone), count = found.length;
  const largest = found[0].features.slice();
  for (const { features } of found) {
    for (let i = 0; i < largest.length; i++) if (features[i] > largest[i]) largest[i] = features[i];
  }
  const context = mixed(largest, net.largest.weight, null, length);
  for (const { inMean } of found) for (let i = 0; i < context.length; i++) context[i] += inMean[i] / count;
  const channels = context.length / length, { weight, bias } = net.outer;
  const fused = found.map(({ own, logs, maps }) => {
    const weights = logs.map(log => log + bias[0]), gains = new Float32Array(length).fill(bias[1]);
    for (let c = 0, i = 0; c < channels; c++) {
      const logit = weight[c], gain = weight[channels + c];
      for (let n = 0; n < length; n++, i++) {
        const value = soft(own[i] + context[i]);
        weights[n] += logit * value;
        gains[n] += gain * value;
      }
    }
    return { errors: maps.map((map, n) => map * Math.exp(gains[n])), weights };
  });
  for (let n = 0; n < length; n++) {
    let most = -Infinity, total = 0;
    for (const { weights } of fused) most = Math.max(most, weights[n]);
    for (const { weights } of fused) total += weights[n] = Math.exp(weights[n] - most);
    for (const { weights } of fused) weights[n] /= total;
  }
  return fused;
}
