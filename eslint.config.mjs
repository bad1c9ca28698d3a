import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const hostGlobals = Object.fromEntries(
  [
    ...[
      'Buffer',
      'URL',
      'AbortController',
      'AbortSignal',
      'Blob',
      'DecompressionStream',
      'Response',
      'TextDecoder',
      'TextEncoder',
    ],
    ...['WebAssembly', 'clearTimeout', 'console', 'document', 'fetch', 'performance', 'process', 'self', 'setTimeout', 'window'],
  ].map((name) => [name, 'readonly']),
);

export default tseslint.config(
  { ignores: ['.toolchain/', 'build/', 'web/dist/', 'demo/dist/', 'node_modules/'] },
  js.configs.recommended,
  { files: ['**/*.mjs', '**/*.js'], languageOptions: { globals: hostGlobals } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strict],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
      '@typescript-eslint/unified-signatures': 'off',
    },
  },
);
