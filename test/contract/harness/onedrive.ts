import type { Test } from 'tap'
import type { UploadCall, UploadTarget } from '../../../src/core/backend.ts'
import { oneDrive } from '../../../src/providers/onedrive/index.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { FAKE_GRAPH_TOKEN, FakeGraph, type FakeGraphOptions } from '../../fakes/graph/fake-graph.ts'
import { type FakeGraphNode, isFolder } from '../../fakes/graph/node.ts'
import { TEST_SPOOL } from '../../support/backend/spool.ts'
import { TEST_TIMEOUTS } from '../../support/time/timeouts.ts'
import { validTokens } from '../../support/app/tokens.ts'
import { clientOfTree, type Harness, type OpenedBackend, seedTree } from '../harness.ts'
import { chunkedStream, upload } from '../suite/uploads.ts'

/** Access tokens that are valid and never expire. */
export const VALID_TOKENS = validTokens(FAKE_GRAPH_TOKEN)

/** Opens the provider on the fake. The fake fails the test for requests that no client should send to Graph. */
export async function openOneDrive(
  t: Test,
  fake: FakeGraph,
  accessTokens = VALID_TOKENS,
  egress = openEgress(),
  timeouts = TEST_TIMEOUTS
): Promise<OpenedBackend> {
  t.teardown(() => egress.close())
  const server = {
    issuer: fake.url,
    authorizationEndpoint: `${fake.url}/authorize`,
    tokenEndpoint: `${fake.url}/token`
  }
  const provider = oneDrive({
    api: fake.url,
    contentHosts: [fake.contentUrl],
    notificationHosts: [fake.originOf('push')],
    server
  })
  const { tree } = fake
  const { driveId } = tree.root
  const isBusiness = tree.kind === 'business'
  const clientOf = (folder: FakeGraphNode) =>
    clientOfTree(
      tree,
      isFolder,
      (node) => {
        tree.recycle(node)
      },
      folder
    )
  const addOwnFolder = () => {
    const folder = tree.addFolder({ name: 'of the user' })
    return { folderId: idOf(folder), isTop: false, ...clientOf(folder) }
  }
  return {
    backend: await provider.open({ accessTokens, egress, timeouts, spool: TEST_SPOOL }),
    seed: seedTree(tree, isFolder),
    exceptions: {
      webUrlIsNotCovered: 'it contains the names of the folders above',
      ...(isBusiness && { rootIsNotCovered: 'it lists sites, which no feed reports' })
    },
    otherClient: () => {
      // The root of organisations is not covered, because it also lists sites.
      fake.knobs.omitsDeletedContent = true
      const top = isBusiness ? tree.addDrive({ name: 'Docs', site: tree.addSite({ name: 'Team' }) }) : tree.root
      return {
        folderId: isBusiness ? `${top.driveId}/root` : null,
        ...clientOf(top),
        losePositions: () => {
          fake.expireFeedTokens()
        },
        limitFeedPages: (changes) => {
          fake.knobs.pageLimit = changes
        },
        addScope: isBusiness ? addOwnFolder : null
      }
    },
    busy: () => fake.busy(),
    missing: { folder: `${driveId}/${tree.newId()}`, file: `${driveId}/${tree.newId()}` }
  }
}

export const harness: Harness = {
  name: 'onedrive',
  open: async (t) => openOneDrive(t, await FakeGraph.start(t)),
  tokenHarness: {
    token: FAKE_GRAPH_TOKEN,
    open: async (t, tokens, egress) => {
      const fake = await FakeGraph.start(t)
      return { ...(await openOneDrive(t, fake, tokens, egress)), fake }
    }
  }
}

/** Returns the plugin's ID of an item in the fake's tree. */
export function idOf({ driveId, id }: { readonly driveId: string; readonly id: string }): string {
  return `${driveId}/${id}`
}

/** An unused name in the root. */
export const NEW_FILE = { parentId: null, name: 'new.bin', mimeType: 'application/x-test' }

/** The setup of upload tests. */
export async function startUploading(t: Test, options: FakeGraphOptions = {}) {
  const fake = await FakeGraph.start(t, options)
  const { backend } = await openOneDrive(t, fake)
  /** Uploads, and checks that the stored content equals the sent one. */
  const uploadAndVerify = async (
    content: Buffer,
    options: Partial<UploadCall> = {},
    target: UploadTarget = NEW_FILE
  ) => {
    const entry = await upload(backend, target, chunkedStream(content), options)
    const [drive, id = ''] = entry.id.split('/')
    t.ok(fake.tree.find(id, drive)?.content?.equals(content), 'the content')
    t.equal(fake.uploads.open, 0, 'no session is left')
    return entry
  }
  const fragments = () => fake.requests.filter(({ method, host }) => method === 'PUT' && host === 'content')
  const ranges = () => fragments().map(({ headers }) => headers['content-range'])
  return { fake, tree: fake.tree, backend, uploadAndVerify, fragments, ranges }
}
