import { randomBytes } from 'node:crypto'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphMistake } from './failure.ts'

/** Pre-authenticated addresses: their secret is the only credential. */
export class FakeGraphLinks<T> {
  readonly #active = new Map<string, T>()
  readonly #expired = new Set<string>()

  /** Returns the address. */
  add(url: string, value: T): string {
    const { pathname, searchParams } = new URL(url)
    this.#active.set(keyOf(pathname, searchParams), value)
    return url
  }

  /** Returns undefined for an expired address. */
  find({ path, query }: FakeCloudRequest): T | undefined {
    const key = keyOf(path, query)
    const value = this.#active.get(key)
    if (value === undefined && !this.#expired.has(key)) throw new GraphMistake('an address that was never handed out')
    return value
  }

  values(): T[] {
    return [...this.#active.values()]
  }

  revoke({ path, query }: FakeCloudRequest): void {
    const key = keyOf(path, query)
    this.#active.delete(key)
    this.#expired.add(key)
  }

  expire(): void {
    for (const key of this.#active.keys()) this.#expired.add(key)
    this.#active.clear()
  }
}

export const newSecret = () => randomBytes(24).toString('base64url')

/** Normalises an address, because clients encode it differently. */
const keyOf = (path: string, query: URLSearchParams) => `${decodeURIComponent(path)}?${query.toString()}`
