import type { CalibrationMethod, WeightClipping } from 'bitwright';
import { options } from './page.js';

const texts: Readonly<Record<CalibrationMethod | WeightClipping, string>> = {
  min_max: 'min and max',
  moving_average: 'moving average',
  percentile: 'percentile',
  entropy: 'entropy',
  mse: 'least squared error',
  aciq_laplace: 'ACIQ, Laplace',
  aciq_gaussian: 'ACIQ, Gaussian',
  output_error: 'least error of the outputs, by your samples',
};

/** Fills a list with ways to choose a clipping range. */
export function clippingOptions(select: HTMLSelectElement, methods: readonly (keyof typeof texts)[]): void {
  options(
    select,
    methods.map((method) => [method, texts[method]] as const),
  );
}
