import type { Test } from 'tap'
import type { StorageBackend } from '../../src/domain/storage-backend.ts'

/** What a provider's harness prepares for one test. */
export interface Opened {
  /** Opened on a place of its own, empty. */
  readonly backend: StorageBackend
  /**
   * Puts files there without the backend: by path (`a/b.txt`), with their content. A path that ends with `/` is an
   * empty folder.
   */
  readonly seed: (files: Readonly<Record<string, string | Buffer>>) => Promise<void>
  /** How many sockets or files the backend holds at the moment, for transfers. */
  readonly busy: () => number | Promise<number>
  /** Ids of the right shape of things that are not there. */
  readonly missing: { readonly folder: string; readonly file: string }
}

/** How the contract suite gets at one provider. What is tested follows from the backend's capabilities alone. */
export interface Harness {
  readonly name: string
  readonly open: (t: Test) => Promise<Opened>
}
