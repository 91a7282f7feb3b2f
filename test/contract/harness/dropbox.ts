import type { Test } from 'tap'
import type { UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import { dropbox, type DropboxEndpoints } from '../../../src/providers/dropbox/index.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_DROPBOX_TOKEN, FakeDropbox, type FakeDropboxOptions } from '../../fakes/dropbox/fake-dropbox.ts'
import type { FakeDropboxNode } from '../../fakes/dropbox/node.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { validTokens } from '../../support/app/tokens.ts'
import { clientOfTree, type Harness, type OpenedBackend } from '../harness.ts'
import { chunkedStream, upload } from '../suite/uploads.ts'

/** Access tokens that are valid and never expire. */
export const VALID_TOKENS = validTokens(FAKE_DROPBOX_TOKEN)

/** The endpoints of the fake. */
export function endpointsOf(fake: FakeDropbox): DropboxEndpoints {
  return {
    api: fake.url,
    content: fake.contentUrl,
    notify: fake.originOf('notify'),
    linkHosts: [fake.originOf('links')],
    server: {
      issuer: fake.url,
      authorizationEndpoint: `${fake.url}/oauth2/authorize`,
      tokenEndpoint: `${fake.url}/oauth2/token`
    }
  }
}

/** Opens the provider on the fake. The fake fails the test for requests that no client should send to Dropbox. */
export async function openDropbox(
  t: Test,
  fake: FakeDropbox,
  accessTokens = VALID_TOKENS,
  egress = openEgress(),
  timeouts = TEST_TIMEOUTS
): Promise<OpenedBackend> {
  t.teardown(() => egress.close())
  const isFolder = ({ kind }: FakeDropboxNode) => kind === 'folder'
  const client = clientOfTree(fake.tree, isFolder, (node) => {
    fake.tree.remove(node)
  })
  return {
    backend: await dropbox(endpointsOf(fake)).open({ accessTokens, egress, timeouts, spool: TEST_SPOOL }),
    seed: client.create,
    otherClient: () => ({
      folderId: null,
      ...client,
      losePositions: () => {
        fake.resetCursors()
      },
      limitFeedPages: null,
      addScope: null
    }),
    busy: () => fake.busy(),
    missing: { folder: fake.tree.newId(), file: fake.tree.newId() }
  }
}

export const harness: Harness = {
  name: 'dropbox',
  open: async (t) => openDropbox(t, await FakeDropbox.start(t)),
  tokenHarness: {
    token: FAKE_DROPBOX_TOKEN,
    open: async (t, tokens, egress) => {
      const fake = await FakeDropbox.start(t)
      return { ...(await openDropbox(t, fake, tokens, egress)), fake }
    }
  }
}

/** The upload arguments that tests read. */
export interface UploadArg {
  readonly path?: string
  readonly content_hash?: string
  readonly cursor?: { readonly session_id: string; readonly offset: number }
  readonly commit?: object
}

/** Returns the arguments in the headers of requests. */
export function uploadArgs(requests: FakeDropbox['requests']): UploadArg[] {
  return requests.flatMap(({ headers: { 'dropbox-api-arg': arg } }) =>
    arg === undefined ? [] : [JSON.parse(arg) as UploadArg]
  )
}

/** An unused name in the root. */
export const NEW_FILE = { parentId: null, name: 'new.bin' }

/** Starts a fake and opens a backend on it. */
export async function startDropbox(t: Test, options?: FakeDropboxOptions) {
  const fake = await FakeDropbox.start(t, options)
  const { backend } = await openDropbox(t, fake)
  let seenCount = 0
  /** Returns the requests since the last call, without the account lookup. */
  const newRequests = () => {
    const requests = fake.requests.slice(seenCount)
    seenCount = fake.requests.length
    return requests.filter(({ path }) => !path.startsWith('/2/users/'))
  }
  /** Returns the names of these operations. */
  const operations = () => newRequests().map(({ path }) => path.replace('/2/files/', ''))
  /** Uploads, and checks that the stored content equals the sent one. */
  const uploadAndVerify = async (
    content: Buffer,
    options: Partial<UploadCall> = {},
    target: UploadTarget = NEW_FILE
  ) => {
    const entry = await upload(backend, target, chunkedStream(content), options)
    t.ok(fake.tree.read(entry.id).equals(content), 'the content')
    return entry
  }
  return { fake, tree: fake.tree, backend, newRequests, operations, uploadAndVerify }
}
