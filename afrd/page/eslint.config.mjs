// The page's scripts: ES modules without a build step, run in a browser. `element`, `props`, `trigger` and `watch` are
// what Gradio gives a component's script; names in capitals are constants that Python puts in front.
const browser = ['document', 'window', 'location', 'history', 'parent', 'performance', 'requestAnimationFrame', 'setTimeout',
  'clearTimeout', 'CustomEvent', 'Event', 'Image', 'URL', 'URLSearchParams', 'ResizeObserver', 'AbortController', 'CSS',
  'atob', 'structuredClone', 'navigator', 'Path2D'];
const gradio = ['element', 'props', 'trigger', 'watch'];
const constants = ['STYLE', 'PARAMETERS', 'FIRST_TAB', 'TAB_EVENT', 'EVENTS', 'SCENES', 'FUSION', 'BESIDE'];

export default [{
  files: ['**/*.js'],
  languageOptions: {
    ecmaVersion: 2022,
    sourceType: 'module',
    globals: Object.fromEntries([...browser, ...gradio, ...constants].map(name => [name, 'readonly'])),
  },
  linterOptions: { reportUnusedDisableDirectives: 'error' },
  rules: {
    'no-undef': 'error',
    'no-unused-vars': 'error',
    'no-unused-expressions': 'error',
    'no-redeclare': 'error',
    'no-shadow-restricted-names': 'error',
    'no-unreachable': 'error',
    'no-dupe-keys': 'error',
    'no-dupe-args': 'error',
    'no-dupe-else-if': 'error',
    'no-duplicate-case': 'error',
    'no-duplicate-imports': 'error',
    'no-import-assign': 'error',
    'no-const-assign': 'error',
    'no-self-assign': 'error',
    'no-self-compare': 'error',
    'no-fallthrough': 'error',
    'no-cond-assign': 'error',
    'no-constant-condition': 'error',
    'no-sparse-arrays': 'error',
    'no-unsafe-finally': 'error',
    'no-unsafe-negation': 'error',
    'no-unsafe-optional-chaining': 'error',
    'no-use-before-define': ['error', { functions: false, variables: false }],
    'no-var': 'error',
    'no-eval': 'error',
    'no-implied-eval': 'error',
    'prefer-const': 'error',
    'use-isnan': 'error',
    'valid-typeof': 'error',
    eqeqeq: 'error',
    'max-len': ['error', { code: 120 }],
    'max-lines-per-function': ['error', 90],
    'max-params': ['error', 6],
  },
}];
