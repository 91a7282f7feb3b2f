import { SharedWork } from '../../domain/shared-work.ts'
import { failure } from '../shared/http-failure.ts'
import { asObject } from '../shared/read-json.ts'
import type { Facts } from './facts.ts'

const NAMESPACE = /^[\w:-]{1,100}$/

/**
 * Where paths begin. For members of a team that has a space of its own that is not their own folder, which is all that
 * they would see (Dropbox's "Team Files Guide"). It is asked once, for all calls that need it; a failure is not kept.
 */
export class PathRoot {
  readonly #ask: (signal: AbortSignal) => Promise<Facts>
  #slot: SharedWork<string | null> | null = null

  /** @param ask gets the account, as Dropbox tells of it */
  constructor(ask: (signal: AbortSignal) => Promise<Facts>) {
    this.#ask = ask
  }

  /** The namespace that calls must name, or `null` where they need not name one. */
  async current(signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    return await (this.#slot ?? this.#begin(this.#ask)).wait(signal)
  }

  /** Another one than `refused`, which Dropbox does not take any more. */
  async renewed(refused: string | null, signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted()
    const slot = this.#slot
    if (slot !== null && (await slot.wait(signal)) === refused && this.#slot === slot) this.#slot = null
    return await this.current(signal)
  }

  /** Takes it from an account that somebody has asked for. */
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

/** The tag of `root_info` does not tell: there are members of teams whose tag is `user`. */
function rootOf(account: Facts): string | null {
  const { root_namespace_id: root, home_namespace_id: home } = asObject(account['root_info'])
  if (typeof root !== 'string' || !NAMESPACE.test(root)) {
    throw failure('PROVIDER_ERROR', 'Dropbox does not say where the paths of the account begin')
  }
  return root === home ? null : root
}
