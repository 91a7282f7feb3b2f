import type { Test } from 'tap'
import { box, type BoxEndpoints } from '../../../src/providers/box/index.ts'
import { FakeBox } from '../../fakes/box/fake-box.ts'
import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from '../../fakes/oauth/rules.ts'
import type { FakeOAuth } from '../../fakes/oauth/fake-oauth.ts'
import { oauthCloudProvider, startOAuthCloud } from '../app/oauth-cloud.ts'

/** A cloud with tokens to refresh: the minimal cloud or Box. Given by addresses, for use in other processes. */
export type RefreshedCloud =
  | { readonly id: 'cloud'; readonly issuer: string; readonly origin: string }
  | { readonly id: 'box'; readonly endpoints: BoxEndpoints }

export interface StartedCloud {
  readonly cloud: RefreshedCloud
  /** The ID of a folder that has not been listed before. */
  readonly newFolder: () => string
}

/** The plugin options that enable the cloud, here and in other processes. */
export function cloudOptions(cloud: RefreshedCloud) {
  return {
    publicUrl: 'http://127.0.0.1:3000',
    providers: {
      [cloud.id]: {
        provider: cloud.id === 'box' ? box(cloud.endpoints) : oauthCloudProvider(cloud.issuer, cloud.origin),
        allowHosts: ['127.0.0.1'],
        clientId: FAKE_CLIENT_ID,
        clientSecret: FAKE_CLIENT_SECRET
      }
    }
  }
}

export function listingPath(id: RefreshedCloud['id']): string {
  return `/cloud/${id}/listing`
}

export async function startCloud(t: Test, oauth: FakeOAuth, id: RefreshedCloud['id']): Promise<StartedCloud> {
  if (id === 'cloud') {
    const { origin } = await startOAuthCloud(t, oauth)
    let folderCount = 0
    return { cloud: { id, issuer: oauth.url, origin }, newFolder: () => `f${(folderCount += 1)}` }
  }
  const fake = await FakeBox.start(t, { authorize: (bearer) => oauth.check(bearer) })
  const { url: api, uploadUrl: upload, contentUrl } = fake
  let folderCount = 0
  return {
    cloud: { id, endpoints: { api, upload, contentHosts: [contentUrl], realtimeHosts: [], server: oauth.server } },
    newFolder: () => `folder:${fake.tree.addFolder({ name: `folder ${(folderCount += 1)}` }).id}`
  }
}
