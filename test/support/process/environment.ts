import type { Test } from 'tap'

/** Sets environment variables until the end of the test; `undefined` removes one. */
export function setEnvironment(t: Test, variables: Readonly<Record<string, string | undefined>>): void {
  const assign = (values: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = value
    }
  }
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]))
  t.teardown(() => {
    assign(before)
  })
  assign(variables)
}
