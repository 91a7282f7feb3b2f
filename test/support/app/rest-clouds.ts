import type { Test } from 'tap'
import type { OAuthProvider } from '../../../src/core/provider.ts'
import { box } from '../../../src/providers/box/index.ts'
import { dropbox } from '../../../src/providers/dropbox/index.ts'
import { oneDrive } from '../../../src/providers/onedrive/index.ts'
import { respondsWith } from '../../fakes/faults.ts'
import type { FakeBoxNode } from '../../fakes/box/node.ts'
import { FakeBox } from '../../fakes/box/fake-box.ts'
import type { FakeCloudRequest } from '../../fakes/fake-cloud.ts'
import type { FakeDropboxNode } from '../../fakes/dropbox/node.ts'
import { FakeDropbox } from '../../fakes/dropbox/fake-dropbox.ts'
import type { FakeGraphNode } from '../../fakes/graph/node.ts'
import { FakeGraph } from '../../fakes/graph/fake-graph.ts'
import type { FakeOAuthOptions } from '../../fakes/oauth/rules.ts'
import type { FakeOAuth } from '../../fakes/oauth/fake-oauth.ts'
import type { PageFault } from '../../fakes/pages.ts'

/** A cloud with a connection walk, and the authorization server that it trusts. */
export interface RestCloud {
  readonly id: string
  /** The behaviour of its authorization server. */
  readonly rules: FakeOAuthOptions
  /** The scopes for write access. Omitted if the registration at the provider determines them. */
  readonly scopes?: readonly string[]
  readonly start: (t: Test, oauth: FakeOAuth) => Promise<RunningCloud>
}

export interface RunningCloud {
  readonly provider: OAuthProvider
  readonly origins: readonly string[]
  /** Creates a folder with files in the root. */
  readonly seed: (folder: string, files: ReadonlyMap<string, string>) => void
  readonly requests: readonly FakeCloudRequest[]
  /** Returns the content of a file in the root. */
  readonly read: (name: string) => Buffer | undefined
  /** Injects a fault into its pages; undefined removes it. */
  readonly setPageFault: (fault: PageFault | undefined) => void
  /** Whether listings give a total number of entries, which reveals a missing entry. */
  readonly reportsTotal: boolean
  /** Responds to the next listing request with 429. */
  readonly throttle: (retryAfterSeconds: number) => void
  /** Returns whether the cloud was told to revoke the access, by its own means. */
  readonly isRevoked: () => boolean
}

interface Tree<Node extends { readonly name: string }> {
  addFolder(seed: { name: string }): Node
  addFiles(count: number, seed: (index: number) => { name: string; parent: Node; content: string }): unknown
  children(): readonly Node[]
  read(node: Node): Buffer
}

interface Fake<Node extends { readonly name: string }> {
  readonly tree: Tree<Node>
  readonly knobs: { pageFault: PageFault | undefined }
}

function treeControls<Node extends { readonly name: string }>({ tree, knobs }: Fake<Node>) {
  return {
    setPageFault: (fault: PageFault | undefined) => {
      knobs.pageFault = fault
    },
    seed: (folder: string, files: ReadonlyMap<string, string>) => {
      const parent = tree.addFolder({ name: folder })
      const entries = [...files]
      tree.addFiles(entries.length, (index) => {
        const [name = '', content = ''] = entries[index] ?? []
        return { name, parent, content }
      })
    },
    read: (name: string) => {
      const node = tree.children().find((each) => each.name === name)
      return node && tree.read(node)
    }
  }
}

const tooManyRequests = (retryAfter: number) =>
  respondsWith(429, { retryAfter, headers: { 'content-type': 'application/json' }, body: '{}' })

/** Clouds with plain REST, each with the grants of its vendor. */
export const REST_CLOUDS: readonly RestCloud[] = [
  {
    id: 'onedrive',
    // Each refresh returns another refresh token, and earlier ones stay valid.
    rules: { rotation: 'rotate', extraParameters: ['response_mode'] },
    scopes: ['offline_access', 'User.Read', 'Files.ReadWrite.All'],
    start: async (t, oauth) => {
      const authorize = (bearer: string) => {
        const caller = oauth.check(bearer)
        // The owner of the drive.
        return caller && { ...caller, user: 'me' }
      }
      const fake = await FakeGraph.start(t, { kind: 'personal', authorize })
      const { revocationEndpoint: _none, ...server } = oauth.server
      return {
        provider: oneDrive({
          ...{ api: fake.url, contentHosts: [fake.contentUrl], notificationHosts: [fake.originOf('push')], server }
        }),
        origins: [fake.url, fake.contentUrl, oauth.url],
        requests: fake.requests,
        ...treeControls<FakeGraphNode>(fake),
        reportsTotal: true,
        throttle: (seconds) => {
          fake.failNext(1, tooManyRequests(seconds), { path: /\/children$/ })
        },
        // Microsoft has no endpoint for revoking a grant.
        isRevoked: () => oauth.calls.revoke.length === 0
      }
    }
  },
  {
    id: 'dropbox',
    rules: { rotation: 'keep', extraParameters: ['token_access_type'] },
    scopes: ['account_info.read', 'files.metadata.read', 'files.content.read', 'files.content.write'],
    start: async (t, oauth) => {
      const revoked: string[] = []
      const fake = await FakeDropbox.start(t, {
        authorize: (bearer) => oauth.check(bearer),
        onRevoke: (bearer) => {
          revoked.push(bearer)
        }
      })
      const { revocationEndpoint: _none, ...server } = oauth.server
      return {
        provider: dropbox({
          ...{ api: fake.url, content: fake.contentUrl, notify: fake.originOf('notify') },
          ...{ linkHosts: [fake.originOf('links')], server }
        }),
        origins: [fake.url, fake.contentUrl, oauth.url],
        requests: fake.requests,
        ...treeControls<FakeDropboxNode>(fake),
        reportsTotal: false,
        throttle: (seconds) => {
          fake.failNext(1, tooManyRequests(seconds), { path: /list_folder/ })
        },
        isRevoked: () => revoked.length === 1
      }
    }
  },
  {
    id: 'box',
    // Using a refresh token twice revokes the grant.
    rules: {
      rotation: 'single-use',
      scopes: ['root_readwrite'],
      defaultScopes: ['root_readwrite'],
      extraParameters: []
    },
    start: async (t, oauth) => {
      const fake = await FakeBox.start(t, { authorize: (bearer) => oauth.check(bearer) })
      const { url: api, uploadUrl: upload, contentUrl } = fake
      return {
        provider: box({
          ...{ api, upload, contentHosts: [contentUrl], realtimeHosts: [fake.originOf('realtime')] },
          server: oauth.server
        }),
        origins: [api, upload, contentUrl, oauth.url],
        requests: fake.requests,
        ...treeControls<FakeBoxNode>(fake),
        reportsTotal: true,
        throttle: (seconds) => {
          fake.failNext(1, tooManyRequests(seconds), { path: /\/items$/ })
        },
        isRevoked: () => oauth.calls.revoke.length === 1
      }
    }
  }
]
