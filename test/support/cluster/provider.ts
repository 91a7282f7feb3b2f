import { Secret } from '../../../src/core/secret.ts'
import { defineProvider, type TypedProvider } from '../../../src/core/provider.ts'
import { httpFailure } from '../../../src/providers/shared/errors.ts'
import { readJson } from '../../../src/providers/shared/rest-client.ts'
import { entry, page, ScriptedBackend } from '../backend/scripted-backend.ts'

export const CLUSTER_PROVIDER = 'cluster'

/**
 * The provider of a `ClusterCloud`. It is built from an address alone, so that other processes can build it too.
 * @param onResponse called when the cloud has responded
 * @param hasFeed whether it reports changes
 */
export function clusterProvider(origin: string, onResponse: () => void, hasFeed = false): TypedProvider {
  const { capabilities } = new ScriptedBackend()
  return defineProvider({
    id: CLUSTER_PROVIDER,
    label: 'Cluster',
    capabilities: hasFeed ? { ...capabilities, changes: 'native' } : capabilities,
    connect: {
      type: 'credentials',
      schema: {
        type: 'object',
        properties: { account: { type: 'string' }, token: { type: 'string', writeOnly: true } },
        required: ['account', 'token'],
        additionalProperties: false
      },
      parse: ({ account, token }) => ({
        credentials: new Secret({ token }),
        accountId: String(account),
        label: String(account)
      })
    },
    open: async ({ credentials, egress }) => {
      const { token } = credentials.reveal() as { token: string }
      const headers = { authorization: `Bearer ${token}` }
      const fetchJson = async (path: string, signal: AbortSignal) => {
        const response = await egress.request({ method: 'GET', url: new URL(path, origin), headers, signal })
        if (response.status === 200) {
          const body = await readJson(response)
          onResponse()
          return body
        }
        await response.discard()
        throw httpFailure('GET', response, 'FOLDER_NOT_FOUND')
      }
      return Object.assign(new ScriptedBackend(), {
        account: async ({ signal }: { signal: AbortSignal }) => {
          const { id } = await fetchJson('/account', signal)
          return { id: String(id), name: String(id), email: null, quota: null }
        },
        listFolder: async (folderId: string | null, { signal }: { signal: AbortSignal }) => {
          const { name } = await fetchJson(`/folders/${encodeURIComponent(folderId ?? '')}`, signal)
          return { ...page([entry(String(name))]), freshness: hasFeed ? { scope: '' } : null }
        },
        ...(hasFeed && {
          position: async (_scope: string, { signal }: { signal: AbortSignal }) => {
            const { position } = await fetchJson('/changes', signal)
            return String(position)
          },
          changes: async (_scope: string, since: string, { signal }: { signal: AbortSignal }) => {
            const { position, folders } = await fetchJson(`/changes/${since}`, signal)
            const changes = (folders as string[]).map((folder) => ({
              id: `new file of ${folder}`,
              path: null,
              parentId: folder,
              isFolder: false,
              isGone: false,
              concerns: 'item' as const
            }))
            return { position: String(position), changes, hasMore: false }
          }
        }),
        download: async (id: string, { signal }: { signal: AbortSignal }) => {
          const url = new URL(`/content/${encodeURIComponent(id)}`, origin)
          const { body } = await egress.request({ method: 'GET', url, headers, signal, purpose: 'transfer' })
          return { body, size: null, range: null, mimeType: null, etag: null, modifiedAt: null }
        }
      })
    }
  })
}
