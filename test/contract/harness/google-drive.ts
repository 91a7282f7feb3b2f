import type { Test } from 'tap'
import type { UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import { googleDrive } from '../../../src/providers/google-drive/index.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_DRIVE_TOKEN, FakeDrive } from '../../fakes/drive/fake-drive.ts'
import { DRIVE_FOLDER, type FakeDriveNode } from '../../fakes/drive/node.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { validTokens } from '../../support/app/tokens.ts'
import { clientOfTree, type Harness, type OpenedBackend } from '../harness.ts'
import { chunkedStream, upload } from '../suite/uploads.ts'

/** Access tokens that are valid and never expire. */
export const VALID_TOKENS = validTokens(FAKE_DRIVE_TOKEN)

/** Opens the provider on the fake. The fake fails the test for requests that no client should send to Drive. */
export async function openGoogleDrive(
  t: Test,
  fake: FakeDrive,
  accessTokens = VALID_TOKENS,
  egress = openEgress(),
  timeouts = TEST_TIMEOUTS
): Promise<OpenedBackend> {
  t.teardown(() => egress.close())
  const authorization = {
    issuer: fake.url,
    authorizationEndpoint: `${fake.url}/auth`,
    tokenEndpoint: `${fake.url}/token`
  }
  const isFolder = ({ mimeType }: FakeDriveNode) => mimeType === DRIVE_FOLDER
  const clientOf = (top: FakeDriveNode) =>
    clientOfTree(
      fake.tree,
      isFolder,
      (node) => {
        fake.tree.trash(node)
      },
      top
    )
  const client = clientOf(fake.tree.root)
  const provider = googleDrive({ api: fake.url, contentOrigins: [fake.originOf('content')], server: authorization })
  return {
    backend: await provider.open({ accessTokens, egress, timeouts, spool: TEST_SPOOL }),
    seed: client.create,
    otherClient: () => ({
      folderId: null,
      ...client,
      losePositions: () => {
        fake.journal.losePositions()
      },
      limitFeedPages: (changes) => {
        fake.knobs.pageLimit = changes
      },
      addScope: () => {
        const drive = fake.tree.addDrive('Team')
        return { folderId: drive.id, isTop: true, ...clientOf(drive) }
      }
    }),
    busy: () => fake.busy(),
    missing: { folder: fake.tree.newId(), file: fake.tree.newId() }
  }
}

export const harness: Harness = {
  name: 'google_drive',
  open: async (t) => openGoogleDrive(t, await FakeDrive.start(t)),
  tokenHarness: {
    token: FAKE_DRIVE_TOKEN,
    open: async (t, tokens, egress) => {
      const fake = await FakeDrive.start(t)
      return { ...(await openGoogleDrive(t, fake, tokens, egress)), fake }
    }
  }
}

/** An unused name in the root. */
export const NEW_FILE = { parentId: null, name: 'new.bin', mimeType: 'application/x-test' }

/** The setup of upload tests. */
export async function startUploading(t: Test) {
  const fake = await FakeDrive.start(t)
  const { backend } = await openGoogleDrive(t, fake)
  /** Uploads, and checks that the stored content equals the sent one. */
  const uploadAndVerify = async (
    content: Buffer,
    options: Partial<UploadCall> = {},
    target: UploadTarget = NEW_FILE
  ) => {
    const entry = await upload(backend, target, chunkedStream(content), options)
    const [id = ''] = entry.id.split('/')
    t.ok(fake.tree.read(id).equals(content), 'the content')
    t.equal(fake.uploads.open, 0, 'no session is left')
    return entry
  }
  const chunks = () => fake.requests.filter(({ method }) => method === 'PUT')
  const ranges = () => chunks().map(({ headers }) => headers['content-range'])
  return { fake, tree: fake.tree, backend, uploadAndVerify, chunks, ranges }
}
