import js from "@eslint/js";
import globals from "globals";

const OWN = ["web/client/**/*.js"];
const ELEMENTS = ["web/client/elements.js", "web/client/elements/*.js"];
const PAGES = ["web/dashboard/**/*.js"];
const TESTS = ["tests/client/*.js", "*.js"];

export default [
  // Others than the client's are as their authors wrote them.
  {
    ignores: [
      "**/*",
      "!web/",
      "!web/client/",
      "!web/client/*.js",
      "!web/client/react/",
      "!web/client/react/*.js",
      "!web/client/elements/",
      "!web/client/elements/*.js",
      "!web/dashboard/",
      "!web/dashboard/*.js",
      "!web/dashboard/languages/",
      "!web/dashboard/languages/*.js",
      "!tests/",
      "!tests/client/",
      "!tests/client/*.js",
      "!*.js",
    ],
  },
  js.configs.recommended,
  {
    files: OWN,
    // What some of browsers, workers and Node lack is read from `globalThis`, or where it is sure to be there.
    languageOptions: {
      ecmaVersion: 2022,
      globals: { ...globals["shared-node-browser"], EventSource: "readonly" },
    },
    rules: { eqeqeq: "error", "no-console": "error", "no-shadow": "error", "no-var": "error", "prefer-const": "error" },
  },
  { files: ELEMENTS, languageOptions: { globals: globals.browser } },
  {
    files: PAGES,
    languageOptions: { ecmaVersion: 2022, globals: globals.browser },
    rules: { eqeqeq: "error", "no-console": "error", "no-shadow": "error", "no-var": "error", "prefer-const": "error" },
  },
  { files: TESTS, languageOptions: { ecmaVersion: 2022, globals: globals.node } },
];
