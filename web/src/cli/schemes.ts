import { schemesText } from '../report/scheme-text.js';
import { listSchemes } from '../try-scheme.js';
import { withContext } from './context.js';
import { exitCodes, UsageError } from './exit-codes.js';
import { type CommandSpec, commonOptions, flag, type Values } from './options.js';

export const schemesSpec: CommandSpec = {
  name: 'schemes',
  summary: 'list the quantization schemes with their bits and what holds them',
  usage: 'schemes [options]',
  options: { ...commonOptions },
  examples: ['bitwright schemes', "bitwright schemes --json | jq -r '.[].name'"],
};

export async function schemesCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const [extra] = positionals;
  if (extra !== undefined) throw new UsageError(`'${extra}' is one argument too many; see 'bitwright schemes --help'`);
  return await withContext(values, async (context) => {
    const schemes = await listSchemes(context.toolkit, context.run);
    context.print(flag(values, 'json') ? JSON.stringify(schemes) : schemesText(schemes, process.stdout.columns ?? 160));
    return exitCodes.done;
  });
}
