import { defineProvider, type TypedProvider } from '../../core/provider.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { StorageError } from '../../errors.ts'
import type { Account, Call, Capabilities, UploadCall } from '../../core/backend.ts'
import { DavBackend } from '../dav/backend.ts'
import { checkFolderId } from '../dav/paths.ts'
import type { ProbedServer } from '../dav/probe.ts'
import { propfindBody, readCount } from '../dav/entries.ts'
import { type DavServer, look } from '../dav/session.ts'
import { type DavTarget, isTemporaryName, uploadByMove, uploadInPlace } from '../dav/upload.ts'
import { listWhole, pageOwner } from '../dav/list.ts'
import { cutPages } from '../shared/paging.ts'
import { failure } from '../shared/errors.ts'
import { nameOf, parentOf } from '../shared/names.ts'
import { readStored } from '../shared/credentials.ts'
import type { UploadSource } from '../shared/upload.ts'
import { connect } from './connect.ts'
import { openServer } from './connect.ts'
import { StaleUploads } from './stale-uploads.ts'
import { accountIdOf, labelOf, readSettings, type WebdavSettings } from './settings.ts'

/** Emulated conditions are checked before the write, also those with weak ETags, which no server may accept. */
function capabilitiesOf({ checksPreconditions, moves, versions }: ProbedServer): Capabilities {
  const createOnly = moves?.checksOverwrite ?? checksPreconditions
  const updateIfMatch = moves?.checksIf ?? checksPreconditions
  const updates = { strong: updateIfMatch ? 'native' : 'emulated', weak: 'emulated', none: 'unsupported' } as const
  return {
    paging: 'emulated',
    kindFilter: 'emulated',
    rangeDownload: 'native',
    upload: 'native',
    createOnly: createOnly ? 'native' : 'emulated',
    updateIfMatch: updates[versions],
    atomicReplace: moves === null ? 'unsupported' : 'emulated',
    remove: 'native',
    createFolder: 'native',
    downloadUrl: 'unsupported'
  }
}

/** Folders on any server that supports WebDAV (RFC 4918). */
export const provider: TypedProvider = defineProvider({
  id: 'webdav',
  label: 'WebDAV',
  capabilities: capabilitiesOf({ checksPreconditions: false, moves: null, versions: 'strong' }),
  connect,
  checkFolderId,
  async open({ credentials, egress, timeouts, userId }) {
    const settings = readStored(credentials, readSettings)
    const owner = pageOwner(userId)
    const stale = new StaleUploads()
    return new DavBackend(openServer(settings, { egress, timeouts }), {
      provider: 'webdav',
      capabilities: capabilitiesOf(settings),
      list: async (server, folderId, call) =>
        withoutTemporary(await listWhole(cutPages, owner, server, folderId, call)),
      upload: (server, target, source, call) => upload(settings, stale, server, target, source, call),
      account: (server, call) => account(settings, server, call)
    })
  }
})

async function upload(
  { moves }: WebdavSettings,
  stale: StaleUploads,
  server: DavServer,
  target: DavTarget,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  if (moves === null) return uploadInPlace(server, target, source, call)
  if (isTemporaryName(nameOf(target.id))) {
    throw new StorageError('INVALID_REQUEST', 'This name is reserved for temporary files. Choose another name.')
  }
  const entry = await uploadByMove(server, moves, target, source, call)
  void stale.sweep(server, parentOf(target.id))
  return entry
}

/** Omits temporary files of uploads in progress, and those left by killed processes. */
function withoutTemporary(page: EntryPage): EntryPage {
  return { ...page, entries: page.entries.filter(({ kind, name }) => kind !== 'file' || !isTemporaryName(name)) }
}

/** Quotas are those of RFC 4331, if supported; negative values mean "unknown" and "unlimited". */
async function account(settings: WebdavSettings, server: DavServer, call: Call): Promise<Account> {
  const propfind = propfindBody('<d:quota-available-bytes/><d:quota-used-bytes/>')
  const { resource, facts } = await look({ ...server, propfind }, server.paths.base, call, 'FOLDER_NOT_FOUND')
  if (!facts.isCollection) throw failure('FOLDER_NOT_FOUND')
  const used = readCount(resource.properties['quota-used-bytes'])
  const available = readCount(resource.properties['quota-available-bytes'])
  return {
    id: accountIdOf(settings),
    name: labelOf(settings),
    email: null,
    quota: used === null ? null : { used, total: available === null ? null : used + available }
  }
}
