import type { Account, Call } from '../../core/backend.ts'
import type { HttpResponse } from '../../core/egress.ts'
import { propfindBody } from '../dav/entries.ts'
import { DavPaths } from '../dav/paths.ts'
import { DavClient, type DavSession, type Network } from '../dav/session.ts'
import { isText } from '../dav/settings.ts'
import { asObject, type JsonObject, sizeOf, textOf } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { readJson } from '../shared/rest-client.ts'
import { freshnessOf } from './changes.ts'
import { EXTRA_PROPERTIES, nextcloudEntry } from './entries.ts'
import { type NextcloudSettings, UID } from './settings.ts'

/** Opens a connection without making a request. @throws StorageError `ENDPOINT_FORBIDDEN` */
export function openSession({ base, username, password, uid }: NextcloudSettings, network: Network): DavSession {
  const paths = new DavPaths(new URL(`remote.php/dav/files/${encodeURIComponent(uid ?? username)}/`, base), 'NFC')
  return {
    client: new DavClient(base, { type: 'basic', username, password }, network),
    paths,
    propfind: propfindBody(EXTRA_PROPERTIES),
    toEntry: (id, resource, metadata, folder) => nextcloudEntry({ base, paths, folder }, id, resource, metadata),
    freshnessOf,
    // All ids are NFC, as Nextcloud lists them.
    listedId: async (id) => paths.normalize(id),
    hasVersions: true
  }
}

/** Returns the collection of the user's chunked uploads. */
export function uploadPathsOf({ base, username, uid }: NextcloudSettings): DavPaths {
  return new DavPaths(new URL(`remote.php/dav/uploads/${encodeURIComponent(uid ?? username)}/`, base))
}

export interface OcsUser {
  /** The name of the user's folder. It may differ from the login name. */
  readonly uid: string
  readonly name: string
  readonly email: string | null
  readonly quota: Account['quota']
}

const MAX_OCS_BYTES = 1024 * 1024

/** Returns the current user from the server's OCS API. */
export async function fetchUser(client: DavClient, base: URL, call: Call): Promise<OcsUser> {
  const response = await requestOcs(client, base, call, 'GET', 'cloud/user')
  const data = asObject(asObject((await readJson(response))['ocs'])['data'])
  const { id, email, quota } = data
  if (!isText(id, UID)) throw failure('PROVIDER_ERROR', 'The server returned no valid user id')
  return {
    uid: id,
    name: textOf(data['displayname'] ?? data['display-name']) ?? id,
    email: textOf(email),
    quota: readQuota(asObject(quota))
  }
}

/** Returns what the apps of the server offer, by app. */
export async function fetchCapabilities(client: DavClient, base: URL, call: Call): Promise<JsonObject> {
  const response = await requestOcs(client, base, call, 'GET', 'cloud/capabilities')
  return asObject(asObject(asObject((await readJson(response))['ocs'])['data'])['capabilities'])
}

/** Revokes the app password of the client. */
export async function deleteAppPassword(client: DavClient, base: URL, call: Call): Promise<void> {
  await (await requestOcs(client, base, call, 'DELETE', 'core/apppassword')).discard()
}

/** @returns a successful response with an unread body */
function requestOcs(
  client: DavClient,
  base: URL,
  { signal }: Call,
  method: 'GET' | 'DELETE',
  path: string
): Promise<HttpResponse> {
  const url = new URL(`ocs/v2.php/${path}?format=json`, base)
  const headers = { accept: 'application/json', 'ocs-apirequest': 'true' }
  return client.expect({ method, url, headers, maxBytes: MAX_OCS_BYTES, signal }, [200], 'FOLDER_NOT_FOUND')
}

/** In bytes. A negative total means unlimited, unknown or not computed. */
function readQuota({ used, total }: Readonly<Record<string, unknown>>): Account['quota'] {
  const usedBytes = sizeOf(used)
  return usedBytes === null ? null : { used: usedBytes, total: sizeOf(total) }
}
