import { describe, expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { isSecret, looksSecret } from "../../src/internal/secret.js"

describe("a value", () => {
  it("is secret by a whole word of its name, or two, however they are joined", () => {
    for (const name of [
      ..."password dbPassword DB_PASSWORD db-password passWord passwd passphrase pass smtpPass clientSecret".split(" "),
      ..."secretName token accessToken refresh_tokens tokenUrl credential awsCredentials Authorization".split(" "),
      ..."cookie session-cookies apiKey API_KEY apikey APIKey api-keys stripeApiKeyId privateKey accessKey".split(" "),
      ..."secretKey password2 OAuthToken".split(" ")
    ]) {
      expect([name, isSecret([name], "x")]).toEqual([name, true])
      expect([name, isSecret([name], ["x"])]).toEqual([name, true])
      for (const value of [1, 1n, true, null, undefined, [1, 2], new Date(0), Duration.seconds(1)]) {
        expect([name, value, isSecret([name], value)]).toEqual([name, value, false])
      }
    }
  })

  it("is none by a part of a word, or a key of any other kind", () => {
    for (const name of [
      ..."tokenizer detokenize secretary cookiecutter passenger bypass compass passthrough author".split(" "),
      ..."routingKey sortKey key keyboard monkey apiVersion access keyApi private stripeKey host".split(" "),
      "",
      "😀"
    ]) {
      expect([name, isSecret([name], "x")]).toEqual([name, false])
    }
  })

  it("is secret in a section that has the name of secrets and no other", () => {
    for (const section of ["secrets", "credentials", "passwords", "tokens", "apiKeys", "private_key", "ACCESS-KEYS"]) {
      expect([section, isSecret([section, "stripe", "id"], "x")]).toEqual([section, true])
      expect([section, isSecret([section, "stripe", "id"], 5)]).toEqual([section, false])
      expect([section, isSecret(["a", section], { user: "x" })]).toEqual([section, true])
    }
    for (const section of ["token-service", "passwordPolicy", "circuitBreaker"]) {
      expect([section, isSecret([section, "timeout"], "x")]).toEqual([section, false])
      expect([section, isSecret([section], { timeout: "x" })]).toEqual([section, false])
    }
  })

  it("is secret by any name where it is an address with a password", () => {
    expect(isSecret(["database", "url"], "postgres://app:hunter2@db/app")).toBe(true)
    expect(isSecret(["database", "url"], "redis://:hunter2@cache:6379")).toBe(true)
    expect(isSecret(["database", "url"], "postgres://db:5432/app")).toBe(false)
    expect(isSecret(["database", "url"], "https://example.com:8080/users/@me")).toBe(false)
  })
})

describe("a text", () => {
  it("that looks like a credential is told from one that does not", () => {
    for (const text of [
      "sk_live_abcdef",
      "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
      "AKIAIOSFODNN7EXAMPLE",
      "eyJhbGciOiJIUzI1NiJ9.e30.x",
      "Bearer abc",
      "-----BEGIN PRIVATE KEY-----\nMIIE",
      "postgres://app:hunter2@db/app",
      "Server=db;User Id=sa;Password=hunter2",
      "https://example.com/?token=abc",
      '{"password": "hunter2"}',
      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
      "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    ]) {
      expect([text, looksSecret(text)]).toEqual([text, true])
    }
    for (const text of [
      "8080",
      "fifty-seven",
      "localhost:8080",
      "https://example.com:8080/v1/orders/latest/items",
      "a plain sentence that is longer than thirty-two characters, with 2 digits in it",
      "2024-01-02T00:00:00.000Z",
      "averyveryverylongnamewithoutanydigit",
      ""
    ]) {
      expect([text, looksSecret(text)]).toEqual([text, false])
    }
  })

  it("of any length is looked at in linear time", () => {
    for (const text of ["a://".padEnd(1e6, ":"), "a".repeat(1e6), "password".repeat(1e5), "1".repeat(1e6)]) {
      expect(looksSecret(`${text} `)).toBe(false)
    }
  })
})
