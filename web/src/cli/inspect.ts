import { inspect } from '../inspect.js';
import { modelInfoText } from '../report/terminal.js';
import { exitCodes } from './exit-codes.js';
import { onlyPositional, withContext } from './context.js';
import { commonOptions, type CommandSpec, flag, type Values } from './options.js';

export const inspectSpec: CommandSpec = {
  name: 'inspect',
  summary: 'show inputs, outputs, operators and the largest tensors of a model',
  usage: 'inspect MODEL [options]',
  options: { ...commonOptions },
  examples: ['bitwright inspect model.onnx', 'bitwright inspect model.onnx --json | jq .operators'],
};

export async function inspectCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const path = onlyPositional(positionals, 'MODEL', 'inspect');
  return await withContext(values, async (context) => {
    const model = await context.open(path);
    try {
      const info = await inspect(model, context.run);
      context.print(flag(values, 'json') ? JSON.stringify(info) : modelInfoText(info));
    } finally {
      model.dispose();
    }
    return exitCodes.done;
  });
}
