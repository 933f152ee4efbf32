import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["web/client/types/"] },
  js.configs.recommended,
  {
    files: ["web/client/*.js"],
    // Names that some of browsers, workers and Node lack are read from `globalThis`, or where they are sure to be there.
    languageOptions: {
      ecmaVersion: 2022,
      globals: { ...globals["shared-node-browser"], EventSource: "readonly", WebSocket: "readonly" },
    },
    rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error", "no-shadow": "error", "no-console": "error" },
  },
  {
    files: ["tests/client/**/*.js", "*.js"],
    languageOptions: { ecmaVersion: 2022, globals: globals.node },
  },
];
