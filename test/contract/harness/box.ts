import type { Test } from 'tap'
import type { UploadCall, UploadTarget } from '../../../src/domain/storage-backend.ts'
import { box } from '../../../src/providers/box.ts'
import { openEgress } from '../../support/egress.ts'
import { FAKE_BOX_TOKEN, FakeBox } from '../../fakes/box/fake-box.ts'
import { TEST_SPOOL } from '../../support/spool.ts'
import { TEST_TIMEOUTS } from '../../support/timeouts.ts'
import { goodTokens } from '../../support/tokens.ts'
import type { Harness, Opened } from '../harness.ts'
import { piecesOf, upload } from '../suite/uploads.ts'

/** Tokens that are good, and never end. */
export const GOOD_TOKENS = goodTokens(FAKE_BOX_TOKEN)

/** Aims the provider at the fake. The fake fails the test for everything that nobody should ask of Box. */
export async function openBox(
  t: Test,
  fake: FakeBox,
  accessTokens = GOOD_TOKENS,
  egress = openEgress(),
  timeouts = TEST_TIMEOUTS
): Promise<Opened> {
  t.teardown(() => egress.close())
  const { url: api, uploadUrl, contentUrl } = fake
  const server = { issuer: api, authorizationEndpoint: `${api}/auth`, tokenEndpoint: `${api}/token` }
  const provider = box({ api, upload: uploadUrl, contentHosts: [contentUrl], server })
  return {
    backend: await provider.open({ accessTokens, egress, timeouts, spool: TEST_SPOOL }),
    seed: async (files) => {
      for (const [path, content] of Object.entries(files)) seedPath(fake, path, content)
    },
    busy: () => fake.busy(),
    missing: { folder: `folder:${fake.tree.newId()}`, file: `file:${fake.tree.newId()}` }
  }
}

function seedPath({ tree }: FakeBox, path: string, content: string | Buffer): void {
  const names = path.split('/')
  const name = names.pop() ?? ''
  let parent = tree.root
  for (const folder of names) {
    const found = tree.children(parent).find((each) => each.name === folder && each.type === 'folder')
    parent = found ?? tree.addFolder({ name: folder, parent })
  }
  if (name !== '') tree.addFile({ name, parent, content })
}

export const harness: Harness = {
  name: 'box',
  open: async (t) => openBox(t, await FakeBox.start(t)),
  withTokens: {
    token: FAKE_BOX_TOKEN,
    open: async (t, tokens, egress) => {
      const fake = await FakeBox.start(t)
      return { ...(await openBox(t, fake, tokens, egress)), fake }
    }
  }
}

/** The id that Box has for it. */
export function bareId(id: string): string {
  return id.slice(id.indexOf(':') + 1)
}

/** A name in the root that nothing has yet. */
export const NEW_FILE = { parentId: null, name: 'new.bin', mimeType: 'application/x-test' }
/** The least that goes in parts. */
export const LARGE_BYTES = 20_000_000

/** What a test of uploads looks at besides. */
export async function startUploading(t: Test) {
  const fake = await FakeBox.start(t)
  const { backend } = await openBox(t, fake)
  /** Uploads, and checks that what is stored is what was sent. */
  const stores = async (content: Buffer, options: Partial<UploadCall> = {}, target: UploadTarget = NEW_FILE) => {
    const entry = await upload(backend, target, piecesOf(content), options)
    t.ok(fake.tree.read(bareId(entry.id)).equals(content), 'the content')
    t.equal(fake.uploads.open, 0, 'no session is left')
    return entry
  }
  const asked = (method: string, path: RegExp) =>
    fake.requests.filter((request) => request.method === method && path.test(request.path))
  const ranges = () => asked('PUT', /./).map(({ headers }) => headers['content-range'])
  return { fake, tree: fake.tree, backend, stores, asked, ranges }
}
