import { SharedWork } from '../../domain/shared-work.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import type { Facts } from './facts.ts'

const NAMESPACE = /^[\w:-]{1,100}$/

/**
 * The namespace in which paths start. A team space differs from the member's own folder, which is all that is visible
 * without the header (Dropbox's "Team Files Guide"). Requested once for all calls; failures are not cached.
 */
export class PathRoot {
  readonly #ask: (signal: AbortSignal) => Promise<Facts>
  #slot: SharedWork<string | null> | null = null

  /** @param ask requests the account from Dropbox */
  constructor(ask: (signal: AbortSignal) => Promise<Facts>) {
    this.#ask = ask
  }

  /** Returns the namespace that calls must name, or `null` if they need not name one. */
  async current(signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    return await (this.#slot ?? this.#begin(this.#ask)).wait(signal)
  }

  /** Replaces `refused`, which Dropbox no longer accepts. */
  async renewed(refused: string | null, signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    const slot = this.#slot
    if (slot !== null && (await slot.wait(signal)) === refused && this.#slot === slot) this.#slot = null
    return await this.current(signal)
  }

  /** Updates the namespace from an account that was requested elsewhere. */
  learn(account: Facts): void {
    this.#begin(async () => account)
  }

  #begin(ask: (signal: AbortSignal) => Promise<Facts>): SharedWork<string | null> {
    const forget = (): void => {
      if (this.#slot === slot) this.#slot = null
    }
    const slot = new SharedWork<string | null>(forget)
    this.#slot = slot
    slot.begin(async (signal) => {
      try {
        return rootOf(await ask(signal))
      } catch (error) {
        forget()
        throw error
      }
    })
    return slot
  }
}

/** The tag of `root_info` is not reliable: some team members have the tag `user`. */
function rootOf(account: Facts): string | null {
  const { root_namespace_id: root, home_namespace_id: home } = asObject(account['root_info'])
  if (typeof root !== 'string' || !NAMESPACE.test(root)) {
    throw failure('PROVIDER_ERROR', 'Dropbox returned no root namespace of the account')
  }
  return root === home ? null : root
}
