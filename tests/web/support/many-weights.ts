import { modelOf } from '../../support/wire.js';
import { initializerField } from './onnx-file.js';

const [k, n] = [192, 192];

/** A model whose weights take a while: each is a step of its own to whoever quantizes. */
export function manyWeights(count: number): Uint8Array {
  const weights = Array.from({ length: count }, (_, i) => ({ name: `w${i}`, k, n }));
  const initializers = weights.map(({ name }, layer) =>
    initializerField(
      name,
      'f32',
      [k, n],
      Float32Array.from({ length: k * n }, (_, i) => Math.sin((layer + 1) * (i + 1) * 12.9898)),
    ),
  );
  return modelOf(weights, initializers);
}
