import { checkOverrides, overrideKeys, parseOverride, type SchemeOverrides } from '../scheme-overrides.js';
import { UsageError } from './exit-codes.js';
import { type OptionSpec, texts, type Values } from './options.js';

export const setOption: OptionSpec = {
  type: 'string',
  multiple: true,
  value: 'KEY=VALUE',
  help: `changes a part of the scheme, as in recipes (weight.overrides): ${overrideKeys.join(', ')}`,
};

/** What `--set` says, checked as recipes are. `others`: the same keys by flags of their own. */
export function overridesFrom(values: Values, others: SchemeOverrides): SchemeOverrides {
  const found: Record<string, unknown> = {};
  for (const word of texts(values, 'set')) {
    const [key, value] = parseOverride(word, (finding) => {
      throw new UsageError(`--set ${finding}`);
    });
    if (Object.hasOwn(found, key) || Object.hasOwn(others, key)) throw new UsageError(`--set ${key} is given twice`);
    found[key] = value;
  }
  checkOverrides(found, (key, finding) => {
    throw new UsageError(`--set ${key} ${finding}`);
  });
  return { ...others, ...found };
}
