import { davEntry, propfindBody } from '../dav/entries.ts'
import { NameForms } from '../dav/name-forms.ts'
import { DavPaths } from '../dav/paths.ts'
import { DavClient, type DavSession, type Network } from '../dav/session.ts'
import type { WebdavSettings } from './settings.ts'

/** Opens a connection without making a request. @throws StorageError `ENDPOINT_FORBIDDEN` */
export function openSession({ base, authentication, versions }: WebdavSettings, network: Network): DavSession {
  const paths = new DavPaths(base)
  const nameForms = new NameForms()
  const session: DavSession = {
    client: new DavClient(base, authentication, network),
    paths,
    propfind: propfindBody(),
    toEntry: (id, _resource, metadata) => davEntry(paths, id, metadata),
    listedId: (id, call) => nameForms.findListedId(session, id, call),
    hasVersions: versions !== 'none'
  }
  return session
}
