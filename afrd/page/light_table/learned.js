// Learned attention in the browser, as `afrd.model.learned_fusion`. A light's own part, two 3x3 convolutions, is worked
// out once a sample; where the lights meet there are 1x1 layers only, so that any set of them is a matter of a frame.
import { floored } from './blend.js';
import { floats, singles } from './numbers.js';

const TABLE = 4096, REACH = 6;  // beyond which gelu is 0 or its argument
const halves = Float64Array.from({ length: TABLE + 2 }, (_, i) => gelu(i / TABLE * REACH) - i / TABLE * REACH / 2);
const BLOCK = 256;  // cells that are worked out together, so that what they need stays in the processor's cache

function gelu(x) {  // with the error function of Abramowitz and Stegun, 7.1.26
  const t = 1 / (1 + 0.3275911 * Math.abs(x) / Math.SQRT2);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const part = 1 - series * Math.exp(-x * x / 2);
  return 0.5 * x * (1 + Math.sign(x) * part);
}

function soft(x) {  // gelu, whose rest beside x / 2 is the same on both sides of 0
  const far = Math.abs(x);
  if (far >= REACH) return 0.5 * (x + far);
  const at = far * (TABLE / REACH), low = at | 0;
  return 0.5 * x + halves[low] + (halves[low + 1] - halves[low]) * (at - low);
}

function ringed(planes, count, high, wide) {  // with the border repeated around each plane
  const [rows, columns] = [high + 2, wide + 2], ring = new Float32Array(count * rows * columns);
  for (let plane = 0, n = 0; plane < count; plane++) {
    for (let y = 0; y < rows; y++) {
      const row = plane * high + Math.min(high - 1, Math.max(0, y - 1));
      for (let x = 0; x < columns; x++, n++) ring[n] = planes[row * wide + Math.min(wide - 1, Math.max(0, x - 1))];
    }
  }
  return ring;
}

// 3x3, and gelu. Four channels and a row of the 3x3 at a time take half the time of one after another.
function convolved(planes, { weight, bias }, inward, high, wide) {
  const outward = bias.length, length = high * wide, source = ringed(planes, inward, high, wide);
  const result = new Float64Array(outward * length), step = 9 * inward;
  for (let out = 0; out < outward; out += 4) {
    const first = out * length;
    for (let i = 0; i < 4; i++) result.fill(bias[out + i], first + i * length, first + (i + 1) * length);
    for (let row = 0; row < 3 * inward; row++) {
      const from = ((row / 3 | 0) * (high + 2) + row % 3) * (wide + 2), i = out * step + 3 * row;
      const j = i + step, k = j + step, l = k + step;
      const a0 = weight[i], a1 = weight[i + 1], a2 = weight[i + 2];
      const b0 = weight[j], b1 = weight[j + 1], b2 = weight[j + 2];
      const c0 = weight[k], c1 = weight[k + 1], c2 = weight[k + 2];
      const d0 = weight[l], d1 = weight[l + 1], d2 = weight[l + 2];
      for (let y = 0, n = first; y < high; y++) {
        let at = from + y * (wide + 2), left = source[at++], middle = source[at++];
        for (let x = 0; x < wide; x++, n++, at++) {
          const right = source[at];
          result[n] += a0 * left + a1 * middle + a2 * right;
          result[n + length] += b0 * left + b1 * middle + b2 * right;
          result[n + 2 * length] += c0 * left + c1 * middle + c2 * right;
          result[n + 3 * length] += d0 * left + d1 * middle + d2 * right;
          left = middle;
          middle = right;
        }
      }
    }
  }
  for (let i = 0; i < result.length; i++) result[i] = soft(result[i]);
  return result;
}

// 1x1: adds the planes of `source` by their weights to those of `into`, from four to two of them at a time. All of them
// are Float64Array: another kind now and then would make every call slow.
function mix(into, source, weight, length) {
  const inward = source.length / length, outward = into.length / length;
  for (let out = 0; out < outward; out += 2) {
    for (let c = 0; c < inward; c += 4) {
      const i = out * inward + c, j = i + inward;
      const a0 = weight[i], a1 = weight[i + 1], a2 = weight[i + 2], a3 = weight[i + 3];
      const b0 = weight[j], b1 = weight[j + 1], b2 = weight[j + 2], b3 = weight[j + 3];
      for (let n = out * length, m = c * length; n < (out + 1) * length; n++, m++) {
        const s0 = source[m], s1 = source[m + length], s2 = source[m + 2 * length], s3 = source[m + 3 * length];
        into[n] += a0 * s0 + a1 * s1 + a2 * s2 + a3 * s3;
        into[n + length] += b0 * s0 + b1 * s1 + b2 * s2 + b3 * s3;
      }
    }
  }
  return into;
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
  return { terms, errors, weights: floored(errors.map((error, i) => error * plain[i] * contrast[i])) };
}

function alone(evidence, { net, names, floor }, [high, wide]) {  // what a light brings by itself
  const length = high * wide, logs = evidence.terms.map(value => Math.log(value + floor)), { bias, weight } = net.own;
  const features = convolved(convolved(logs, net.first, names.length, high, wide), net.second, net.first.bias.length,
    high, wide);
  const row = names.indexOf('evidence'), own = new Float64Array(features.length);
  bias.forEach((value, c) => own.fill(value, c * length, (c + 1) * length));
  mix(own, features, weight, length);
  return { features: new Float32Array(features), own: new Float32Array(own),
    logs: evidence.weights.map(value => net.sharpness * Math.log(value)),
    maps: evidence.terms.slice(row * length, (row + 1) * length).map(value => value + floor) };
}

// Errors M_l and weights a_l on the grid, of the lights that are on; `learned` is that of `fusion` in the scene.
export function attend(lights, learned, grid) {
  learned.net ??= layers(learned);
  const { net } = learned, length = grid[0] * grid[1], { bias, weight } = net.outer;
  for (const { evidence } of lights) evidence.alone ??= alone(evidence, learned, grid);
  const outputs = lights.map(({ evidence: { alone } }) => ({ ...alone, weights: alone.logs.slice(),
    errors: new Float32Array(length).fill(bias[1]) }));  // bias[0] is the same for all lights
  const size = net.own.bias.length * BLOCK, [largest, mean, context] = [0, 0, 0].map(() => new Float64Array(size));
  for (let from = 0; from < length; from += BLOCK) {
    const block = { from, count: Math.min(BLOCK, length - from), length };
    meet(outputs, block, largest, mean);
    mix(context.fill(0), largest, net.largest.weight, BLOCK);
    mix(context, mean, net.mean.weight, BLOCK);
    for (const light of outputs) answer(light, weight, block, context);
  }
  for (const { errors, maps } of outputs) for (let n = 0; n < length; n++) errors[n] = maps[n] * Math.exp(errors[n]);
  for (let n = 0; n < length; n++) {
    let highest = -Infinity, total = 0;
    for (const { weights } of outputs) if (weights[n] > highest) highest = weights[n];
    for (const { weights } of outputs) total += weights[n] = Math.exp(weights[n] - highest);
    for (const { weights } of outputs) weights[n] /= total;
  }
  return outputs.map(({ errors, weights }) => ({ errors, weights: floored(weights) }));
}

// Of a block of cells the largest and the mean of the lights' features, two lights at a time. The larger of two numbers
// is half of their sum and distance, which is a third of the time of asking which one it is.
function meet(lights, { from, count, length }, largest, mean) {
  const part = 1 / lights.length, [{ features: first }] = lights;
  for (let row = 0, plane = from; row < largest.length; row += BLOCK, plane += length) {
    for (let n = 0; n < count; n++) {
      largest[row + n] = first[plane + n];
      mean[row + n] = part * first[plane + n];
    }
    for (let light = 1; light < lights.length; light += 2) {
      const both = light + 1 < lights.length, one = lights[light].features;
      const other = both ? lights[light + 1].features : one, share = both ? part : part / 2;
      for (let n = 0, i = plane, j = row; n < count; n++, i++, j++) {
        const a = one[i], b = other[i], sum = a + b, most = largest[j], larger = 0.5 * (sum + Math.abs(a - b));
        largest[j] = 0.5 * (most + larger + Math.abs(most - larger));
        mean[j] += share * sum;
      }
    }
  }
}

function answer({ own, weights, errors }, weight, { from, count, length }, context) {  // of a light to the others
  const channels = weight.length / 2;
  for (let c = 0; c < channels; c += 2) {  // two channels at a time
    const logit = weight[c], nextLogit = weight[c + 1];
    const gain = weight[channels + c], nextGain = weight[channels + c + 1];
    for (let n = from, i = c * length + from, j = c * BLOCK; n < from + count; n++, i++, j++) {
      const value = soft(own[i] + context[j]), next = soft(own[i + length] + context[j + BLOCK]);
      weights[n] += logit * value + nextLogit * next;
      errors[n] += gain * value + nextGain * next;
    }
  }
}
