import tseslint from 'typescript-eslint'

const CLOCKS = ['Date.now', 'performance.now']

export default tseslint.config(
  {
    ignores: [
      'build/',
      'dist/',
      'wycheproof/',
      'coverage/',
      '.tap/',
      '.cache/',
      'data/',
      'src/generated/',
      'node_modules/'
    ]
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['eslint.config.js', 'scripts/*.mjs'] },
        tsconfigRootDir: import.meta.dirname
      }
    },
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafePromises: [{ from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' }] }
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      '@typescript-eslint/no-non-null-assertion': 'error',
      // A class that only implements an interface may be `async` for its errors alone.
      '@typescript-eslint/require-await': 'off',
      // A signal's reason, or what a fetch threw, goes on as it came.
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true }
      ],
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingAny: true, allowThrowingUnknown: true }],
      'no-restricted-properties': [
        'error',
        ...CLOCKS.map((name) => {
          const [object, property] = name.split('.')
          return { object, property, message: 'Take a Clock.' }
        }),
        {
          object: 'AbortSignal',
          property: 'timeout',
          message: 'Lost to the garbage collector on Node 20: use a timer.'
        }
      ]
    }
  },
  {
    files: ['src/core/time.ts', 'web/picker/clock.ts', 'test/**', 'bench/**', 'scripts/**'],
    rules: { 'no-restricted-properties': 'off' }
  },
  {
    files: ['test/**'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off'
    }
  },
  { files: ['**/*.js', '**/*.mjs'], extends: [tseslint.configs.disableTypeChecked] }
)
