import type { Entry } from '../../domain/entry.ts'
import type { Egress } from '../../domain/egress.ts'
import type { Timeouts } from '../../domain/ports.ts'
import { createAuthorizer } from '../dav/authorization.ts'
import { DavClient } from '../dav/client.ts'
import { davEntry } from '../dav/entries.ts'
import type { DavResource } from '../dav/multistatus.ts'
import { DavPaths } from '../dav/paths.ts'
import { type DavFacts, propfindBody, readText } from '../dav/properties.ts'
import type { DavServer } from '../dav/server.ts'
import type { NextcloudSettings } from './settings.ts'

const MORE =
  '<o:fileid xmlns:o="http://owncloud.org/ns"/><o:permissions xmlns:o="http://owncloud.org/ns"/>' +
  '<n:is-encrypted xmlns:n="http://nextcloud.org/ns"/>'

/** Makes no call. */
export function openServer(
  settings: NextcloudSettings,
  { egress, timeouts }: { readonly egress: Egress; readonly timeouts: Timeouts }
): DavServer {
  const { base, username, password, uid } = settings
  egress.assertAllowed(base)
  const paths = new DavPaths(new URL(`remote.php/dav/files/${encodeURIComponent(uid ?? username)}/`, base))
  return {
    client: new DavClient({ egress, timeouts, authorizer: createAuthorizer({ type: 'basic', username, password }) }),
    paths,
    propfind: propfindBody(MORE),
    toEntry: (id, resource, facts) => toEntry(base, paths, id, resource, facts),
    hasVersions: true
  }
}

/** The collection of the user's chunked uploads. */
export function uploadsOf({ base, username, uid }: NextcloudSettings): DavPaths {
  return new DavPaths(new URL(`remote.php/dav/uploads/${encodeURIComponent(uid ?? username)}/`, base))
}

function toEntry(base: URL, paths: DavPaths, id: string, { properties }: DavResource, facts: DavFacts): Entry {
  const entry = davEntry(paths, id, facts)
  const fileId = readText(properties['fileid'])
  // Letters: G may be read, W written, C and K are for files and folders in it. An empty text is no permission at all.
  const permissions = typeof properties['permissions'] === 'string' ? properties['permissions'] : null
  const may = (letters: RegExp): boolean | null => (permissions === null ? null : letters.test(permissions))
  const isEncrypted = properties['is-encrypted'] === '1'
  return {
    ...entry,
    webUrl: fileId !== null && /^\d{1,20}$/.test(fileId) ? new URL(`index.php/f/${fileId}`, base).href : null,
    can: {
      list: entry.can.list && may(/G/) !== false,
      // What is encrypted end to end can be listed, and read by nobody without the user's own keys.
      download: entry.can.download && may(/G/) !== false && !isEncrypted,
      write: may(facts.isCollection ? /[CK]/ : /W/)
    }
  }
}
