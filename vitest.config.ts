import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("./src", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-foundation$/, replacement: `${src}/index.ts` },
      { find: /^effect-foundation\/(.*)$/, replacement: `${src}/$1.ts` }
    ]
  },
  test: {
    globalSetup: "test/support/postgres.setup.ts",
    setupFiles: "test/support/properties.setup.ts",
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000
  }
})
