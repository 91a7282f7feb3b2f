import type { Test } from 'tap'
import type { AccessTokens } from '../../src/domain/oauth.ts'
import type { StorageBackend } from '../../src/domain/storage-backend.ts'
import type { FakeCloud } from '../fakes/fake-cloud.ts'
import type { OpenEgress } from '../support/egress.ts'

/** What a real server does not do. The value is the reason; the suite expects exactly that difference. */
export interface Exceptions {
  /** Names that begin with a dot are not listed. */
  readonly hidesDotFiles?: string
  /** Listings have no versions. Downloads have them, and they can be replaced by these. */
  readonly listsNoVersions?: string
}

/** What a provider's harness prepares for one test. */
export interface Opened {
  /** Opened on a place of its own, empty. */
  readonly backend: StorageBackend
  /**
   * Puts files there without the backend: by path (`a/b.txt`), with their content. A path that ends with `/` is an
   * empty folder.
   */
  readonly seed: (files: Readonly<Record<string, string | Buffer>>) => Promise<void>
  /** Whether the service stores names in NFC, whatever form they come in. */
  readonly normalizes?: true
  /** How many sockets or files the backend holds at the moment, for transfers. */
  readonly busy: () => number | Promise<number>
  /** Ids of the right shape of things that are not there. */
  readonly missing: { readonly folder: string; readonly file: string }
  readonly exceptions?: Exceptions
}

/** What is opened with access tokens, at a fake that knows which of them are good. */
export interface OpenedWithTokens extends Opened {
  readonly fake: FakeCloud<never>
}

export interface OpenWithTokens {
  /** One that the fake takes. */
  readonly token: string
  readonly open: (t: Test, tokens: AccessTokens, egress: OpenEgress) => Promise<OpenedWithTokens>
}

/** How the contract suite gets at one provider. What is tested follows from the backend's capabilities alone. */
export interface Harness {
  readonly name: string
  readonly open: (t: Test) => Promise<Opened>
  /** There exactly for a provider where users grant access in the browser. */
  readonly withTokens?: OpenWithTokens
}
