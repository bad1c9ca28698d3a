// npm pack, installed in an empty folder as a stranger would, its command tried on a good and a bad model.
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure, capture, main, root, say } from '../steps.mjs';

const example = join(root, 'demo/example');

function expect(claim, what) {
  if (!claim) throw new Failure(`The packed package: ${what}`);
}

main(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-packed-'));
  try {
    capture('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder]);
    const [archive] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    say(`${archive}: ${statSync(join(folder, archive)).size} bytes`);
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
    const install = ['install', '--no-audit', '--no-fund', '--omit=peer', '--offline', join(folder, archive)];
    capture('npm', install, { cwd: folder });
    const program = join(folder, 'node_modules/.bin/bitwright');

    const samples = ['--calibrate', join(example, 'images'), '--preprocess', 'minus1_1', '--resize', '64'];
    capture(program, ['quantize', join(example, 'model.onnx'), '-o', 'small.onnx', ...samples], { cwd: folder });
    const [before, after] = [join(example, 'model.onnx'), join(folder, 'small.onnx')].map((path) => statSync(path).size);
    expect(after > 0 && after < before, `small.onnx has ${after} bytes, the example ${before}`);
    say(`example: ${before} bytes, quantized ${after}`);

    writeFileSync(join(folder, 'bad.onnx'), 'this is no model\n');
    const bad = capture(program, ['quantize', 'bad.onnx', '-o', 'out.onnx', '--mode', 'weight_only'], {
      cwd: folder,
      mayFail: true,
    });
    expect(bad.status === 3, `a text file ended with exit code ${bad.status}, not 3`);
    expect(!readdirSync(folder).includes('out.onnx'), 'a refused model left an output file');

    const consumer = "import { openToolkit } from 'bitwright';\nconst toolkit = await openToolkit();\ntoolkit.dispose();\n";
    writeFileSync(join(folder, 'consumer.mts'), consumer);
    const types = [
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--module',
      'nodenext',
      '--skipLibCheck',
      'false',
      'consumer.mts',
    ];
    capture(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...types], { cwd: folder });
    writeFileSync(join(folder, 'consumer.mjs'), consumer);
    capture(process.execPath, ['consumer.mjs'], { cwd: folder });
    const manifest = JSON.parse(readFileSync(join(folder, 'node_modules/bitwright/package.json'), 'utf8'));
    expect(manifest.dependencies === undefined, 'it has runtime dependencies');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
