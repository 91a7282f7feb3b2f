import type { Account, Call, Capabilities, UploadCall } from '../../core/backend.ts'
import type { Entry, EntryPage } from '../../core/entry.ts'
import { defineProvider, type TypedProvider } from '../../core/provider.ts'
import { StorageError } from '../../errors.ts'
import { propfindBody } from '../dav/entries.ts'
import { DavBackend } from '../dav/index.ts'
import { createPageOwner, listCompleteFolder } from '../dav/list.ts'
import { checkFolderId } from '../dav/paths.ts'
import type { ServerFeatures } from '../dav/probe.ts'
import { type DavSession, getResource } from '../dav/session.ts'
import { type DavTarget, isTemporaryName, uploadByMove, uploadInPlace } from '../dav/upload.ts'
import { readStoredCredentials } from '../shared/credentials.ts'
import { readCount } from '../shared/entries.ts'
import { failure } from '../shared/errors.ts'
import { nameOf, parentOf } from '../shared/names.ts'
import type { UploadSource } from '../shared/upload.ts'
import { connect } from './connect.ts'
import { openSession } from './session.ts'
import { accountOf, readSettings, type WebdavSettings } from './settings.ts'
import { StaleUploads } from './stale-uploads.ts'

/** Emulated conditions are checked before the write, also those with weak ETags, which no server may accept. */
function capabilitiesOf({ checksPreconditions, moves, versions }: ServerFeatures): Capabilities {
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
    downloadUrl: 'unsupported',
    changes: 'unsupported'
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
    const settings = readStoredCredentials(credentials, readSettings)
    const owner = createPageOwner(userId)
    const staleUploads = new StaleUploads()
    return new DavBackend(openSession(settings, { egress, timeouts }), {
      provider: 'webdav',
      capabilities: capabilitiesOf(settings),
      list: async (session, folderId, call) =>
        withoutTemporaryFiles(await listCompleteFolder(owner, session, folderId, call)),
      upload: (session, target, source, call) => upload(settings, staleUploads, session, target, source, call),
      account: (session, call) => account(settings, session, call)
    })
  }
})

async function upload(
  { moves }: WebdavSettings,
  staleUploads: StaleUploads,
  session: DavSession,
  target: DavTarget,
  source: UploadSource,
  call: UploadCall
): Promise<Entry> {
  if (moves === null) return uploadInPlace(session, target, source, call)
  if (isTemporaryName(nameOf(target.id))) {
    throw new StorageError('INVALID_REQUEST', 'This name is reserved for temporary files. Choose another name.')
  }
  const entry = await uploadByMove(session, moves, target, source, call)
  void staleUploads.sweep(session, parentOf(target.id))
  return entry
}

/** Omits temporary files of uploads in progress, and those left by killed processes. */
function withoutTemporaryFiles(page: EntryPage): EntryPage {
  return { ...page, entries: page.entries.filter(({ kind, name }) => kind !== 'file' || !isTemporaryName(name)) }
}

/** Quotas are those of RFC 4331, if supported; negative values mean "unknown" and "unlimited". */
async function account(settings: WebdavSettings, session: DavSession, call: Call): Promise<Account> {
  const propfind = propfindBody('<d:quota-available-bytes/><d:quota-used-bytes/>')
  const { resource, metadata } = await getResource(
    { ...session, propfind },
    session.paths.base,
    call,
    'FOLDER_NOT_FOUND'
  )
  if (!metadata.isCollection) throw failure('FOLDER_NOT_FOUND')
  const used = readCount(resource.properties['quota-used-bytes'])
  const available = readCount(resource.properties['quota-available-bytes'])
  const { accountId, label } = accountOf(settings)
  return {
    id: accountId,
    name: label,
    email: null,
    quota: used === null ? null : { used, total: available === null ? null : used + available }
  }
}
