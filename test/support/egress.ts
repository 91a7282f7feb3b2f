import type { EgressPolicy } from '../../src/domain/ports.ts'

/** Lets everything through, and remembers what was asked. */
export function openEgress(): EgressPolicy & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    assertAllowed(url) {
      asked.push(url.href)
    }
  }
}
