import { randomBytes } from 'node:crypto'
import type { FakeCloudRequest } from '../fake-cloud.ts'
import { GraphMistake } from './failure.ts'

/** Pre-authenticated addresses: their secret is the only credential. */
export class FakeGraphLinks<T> {
  readonly #live = new Map<string, T>()
  readonly #gone = new Set<string>()

  /** Returns the address. */
  add(url: string, what: T): string {
    const { pathname, searchParams } = new URL(url)
    this.#live.set(keyOf(pathname, searchParams), what)
    return url
  }

  /** Returns undefined for an expired address. */
  find({ path, query }: FakeCloudRequest): T | undefined {
    const key = keyOf(path, query)
    const what = this.#live.get(key)
    if (what === undefined && !this.#gone.has(key)) throw new GraphMistake('an address that was never handed out')
    return what
  }

  values(): T[] {
    return [...this.#live.values()]
  }

  end({ path, query }: FakeCloudRequest): void {
    const key = keyOf(path, query)
    this.#live.delete(key)
    this.#gone.add(key)
  }

  expire(): void {
    for (const key of this.#live.keys()) this.#gone.add(key)
    this.#live.clear()
  }
}

export const newSecret = () => randomBytes(24).toString('base64url')

/** Normalises an address, because clients encode it differently. */
const keyOf = (path: string, query: URLSearchParams) => `${decodeURIComponent(path)}?${query.toString()}`
