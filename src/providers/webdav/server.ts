import type { Egress } from '../../domain/egress.ts'
import type { Timeouts } from '../../domain/ports.ts'
import { createAuthorizer } from '../dav/authorization.ts'
import { DavClient } from '../dav/client.ts'
import { davEntry } from '../dav/entries.ts'
import { NameForms } from '../dav/name-forms.ts'
import { DavPaths } from '../dav/paths.ts'
import { propfindBody } from '../dav/properties.ts'
import type { DavServer } from '../dav/server.ts'
import type { WebdavSettings } from './settings.ts'

/** Opens a connection without making a request. */
export function openServer(
  { base, authentication, versions }: WebdavSettings,
  { egress, timeouts }: { readonly egress: Egress; readonly timeouts: Timeouts }
): DavServer {
  egress.assertAllowed(base)
  const paths = new DavPaths(base)
  const forms = new NameForms()
  const server: DavServer = {
    client: new DavClient({ egress, timeouts, authorizer: createAuthorizer(authentication) }),
    paths,
    propfind: propfindBody(),
    toEntry: (id, _resource, facts) => davEntry(paths, id, facts),
    listedId: (id, call) => forms.listed(server, id, call),
    hasVersions: versions !== 'none'
  }
  return server
}
