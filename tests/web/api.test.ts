import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as face from '../../web/src/node.js';

void test('what the package exports is what its page says, and nothing else', () => {
  const values = Object.keys(face).sort();
  assert.deepEqual(values, [
    'Calibration',
    'Model',
    'QuantError',
    'Session',
    'Toolkit',
    'bytesText',
    'calibrate',
    'calibrationMethods',
    'choosePreprocessing',
    'compare',
    'convert',
    'createSession',
    'defaultRecipe',
    'dequantize',
    'distributionKinds',
    'errorMeanings',
    'forecast',
    'formulaLines',
    'imagePresets',
    'inspect',
    'listSchemes',
    'loadModel',
    'lostText',
    'numberText',
    'onnxruntimeRunner',
    'openToolkit',
    'outputName',
    'parseRecipe',
    'parseRecipeJson',
    'percentText',
    'quantize',
    'rangeMethods',
    'readNpy',
    'readNpz',
    'recipeJson',
    'recipePresets',
    'reportHtml',
    'reportSchemaVersion',
    'schemeNames',
    'sessionDefaults',
    'shareText',
    'sqnrText',
    'summarizeProfile',
    'tryScheme',
    'useOfSamples',
    'weightClippings',
    'writeNpy',
  ]);
});

void test('no declaration that users see names a pointer, a heap or an any', () => {
  for (const name of [
    'index.d.ts',
    'api.d.ts',
    'quantize.d.ts',
    'calibrate.d.ts',
    'compare.d.ts',
    'session.d.ts',
    'types.d.ts',
    'load-model.d.ts',
  ]) {
    const text = readFileSync(new URL(`../../web/dist/${name}`, import.meta.url), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
    assert.equal(/\bany\b|HEAP|\bptr\b|pointer/i.test(text), false, name);
  }
});
