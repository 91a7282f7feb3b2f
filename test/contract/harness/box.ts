import type { Test } from 'tap'
import type { UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import { box } from '../../../src/providers/box/index.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_BOX_TOKEN, FakeBox } from '../../fakes/box/fake-box.ts'
import type { FakeBoxNode } from '../../fakes/box/node.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { validTokens } from '../../support/app/tokens.ts'
import { clientOfTree, type Harness, type OpenedBackend } from '../harness.ts'
import { chunkedStream, upload } from '../suite/uploads.ts'

/** Access tokens that are valid and never expire. */
export const VALID_TOKENS = validTokens(FAKE_BOX_TOKEN)

/** Opens the provider on the fake. The fake fails the test for requests that no client should send to Box. */
export async function openBox(
  t: Test,
  fake: FakeBox,
  accessTokens = VALID_TOKENS,
  egress = openEgress(),
  timeouts = TEST_TIMEOUTS
): Promise<OpenedBackend> {
  t.teardown(() => egress.close())
  const { url: api, uploadUrl, contentUrl } = fake
  const server = { issuer: api, authorizationEndpoint: `${api}/auth`, tokenEndpoint: `${api}/token` }
  const isFolder = ({ type }: FakeBoxNode) => type === 'folder'
  const client = clientOfTree(fake.tree, isFolder, (node) => {
    fake.tree.trash(node)
  })
  const provider = box({
    api,
    upload: uploadUrl,
    contentHosts: [contentUrl],
    realtimeHosts: [fake.originOf('realtime')],
    server
  })
  return {
    backend: await provider.open({ accessTokens, egress, timeouts, spool: TEST_SPOOL }),
    seed: client.create,
    otherClient: () => ({
      folderId: null,
      ...client,
      losePositions: () => {
        fake.events.losePositions()
      },
      limitFeedPages: (changes) => {
        fake.knobs.eventPageLimit = changes
      },
      addScope: null
    }),
    busy: () => fake.busy(),
    missing: { folder: `folder:${fake.tree.newId()}`, file: `file:${fake.tree.newId()}` }
  }
}

export const harness: Harness = {
  name: 'box',
  open: async (t) => openBox(t, await FakeBox.start(t)),
  tokenHarness: {
    token: FAKE_BOX_TOKEN,
    open: async (t, tokens, egress) => {
      const fake = await FakeBox.start(t)
      return { ...(await openBox(t, fake, tokens, egress)), fake }
    }
  }
}

/** Returns Box's own ID. */
export function bareId(id: string): string {
  return id.slice(id.indexOf(':') + 1)
}

/** An unused name in the root. */
export const NEW_FILE = { parentId: null, name: 'new.bin', mimeType: 'application/x-test' }
/** The minimum size of an upload in parts. */
export const LARGE_BYTES = 20_000_000

/** The setup of upload tests. */
export async function startUploading(t: Test) {
  const fake = await FakeBox.start(t)
  const { backend } = await openBox(t, fake)
  /** Uploads, and checks that the stored content equals the sent one. */
  const uploadAndVerify = async (
    content: Buffer,
    options: Partial<UploadCall> = {},
    target: UploadTarget = NEW_FILE
  ) => {
    const entry = await upload(backend, target, chunkedStream(content), options)
    t.ok(fake.tree.read(bareId(entry.id)).equals(content), 'the content')
    t.equal(fake.uploads.open, 0, 'no session is left')
    return entry
  }
  const requestsTo = (method: string, path: RegExp) =>
    fake.requests.filter((request) => request.method === method && path.test(request.path))
  const ranges = () => requestsTo('PUT', /./).map(({ headers }) => headers['content-range'])
  return { fake, tree: fake.tree, backend, uploadAndVerify, requestsTo, ranges }
}
