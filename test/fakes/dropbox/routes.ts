import { flag, integer, path, struct, text, union, type Check } from './schema.ts'

export type DropboxOperation =
  | 'auth/token/revoke'
  | 'users/get_current_account'
  | 'users/get_space_usage'
  | 'files/list_folder'
  | 'files/list_folder/continue'
  | 'files/list_folder/get_latest_cursor'
  | 'files/get_metadata'
  | 'files/get_temporary_link'
  | 'files/create_folder_v2'
  | 'files/delete_v2'
  | 'files/download'
  | 'files/export'
  | 'files/upload'
  | 'files/upload_session/start'
  | 'files/upload_session/append_v2'
  | 'files/upload_session/finish'

export interface DropboxRoute {
  /** `rpc`: the arguments are the body. Otherwise they are in a header, and the content is a body. */
  readonly style: 'rpc' | 'upload' | 'download'
  readonly scope: string | null
  /** Null if there are no arguments. */
  readonly arg: Check | null
}

// Dropbox's own patterns, from its error messages.
const NAMESPACE = '(ns:[0-9]+(/.*)?)'
const LIST_PATH = path(`(/(.|[\\r\\n])*)?|id:.*|${NAMESPACE}`)
const READ_PATTERN = `(/(.|[\\r\\n])*|id:.*)|(rev:[0-9a-f]{9,})|${NAMESPACE}`
const READ_PATH = path(READ_PATTERN)
const WRITE_PATTERN = `(/(.|[\\r\\n])*)|${NAMESPACE}`
const REV = text('[0-9a-f]{9,}')
const TIMESTAMP = text('\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ')
const CONTENT_HASH = { content_hash: text('[0-9A-Fa-f]{64}') }
const MAX_BYTES = 2 ** 41 - 2 ** 22

const COMMIT = [
  { path: path(`${WRITE_PATTERN}|(id:.*)`) },
  {
    mode: union(['add', 'overwrite'], { update: REV }),
    ...{ autorename: flag, mute: flag, strict_conflict: flag, client_modified: TIMESTAMP }
  }
] as const
const CURSOR = struct({ session_id: text(), offset: integer(0, MAX_BYTES) })
const INCLUDE_FLAGS = { include_media_info: flag, include_deleted: flag, include_has_explicit_shared_members: flag }
const LIST_FOLDER = struct(
  { path: LIST_PATH },
  {
    ...{ ...INCLUDE_FLAGS, recursive: flag, include_mounted_folders: flag, include_non_downloadable_files: flag },
    limit: integer(1, 2000)
  }
)

const METADATA = 'files.metadata.read'
const READ = 'files.content.read'
const WRITE = 'files.content.write'
const ACCOUNT = 'account_info.read'

const rpc = (scope: string | null, arg: Check | null): DropboxRoute => ({ style: 'rpc', scope, arg })
const upload = (arg: Check): DropboxRoute => ({ style: 'upload', scope: WRITE, arg })
const download = (arg: Check): DropboxRoute => ({ style: 'download', scope: READ, arg })

/** With the scopes of the official client, which are those of Dropbox's specification. */
export const ROUTES: Readonly<Record<DropboxOperation, DropboxRoute>> = {
  'auth/token/revoke': rpc(null, null),
  'users/get_current_account': rpc(ACCOUNT, null),
  'users/get_space_usage': rpc(ACCOUNT, null),
  'files/list_folder': rpc(METADATA, LIST_FOLDER),
  'files/list_folder/continue': rpc(METADATA, struct({ cursor: text('(.|[\\r\\n])+') })),
  'files/list_folder/get_latest_cursor': rpc(METADATA, LIST_FOLDER),
  'files/get_metadata': rpc(METADATA, struct({ path: path(READ_PATTERN, true) }, INCLUDE_FLAGS)),
  'files/get_temporary_link': rpc(READ, struct({ path: READ_PATH })),
  'files/create_folder_v2': rpc(WRITE, struct({ path: path(WRITE_PATTERN) }, { autorename: flag })),
  'files/delete_v2': rpc(WRITE, struct({ path: path(`${WRITE_PATTERN}|(id:.*)`) }, { parent_rev: REV })),
  'files/download': download(struct({ path: READ_PATH })),
  'files/export': download(struct({ path: READ_PATH }, { export_format: text() })),
  'files/upload': upload(struct(COMMIT[0], { ...COMMIT[1], ...CONTENT_HASH })),
  'files/upload_session/start': upload(
    struct({}, { close: flag, session_type: union(['sequential', 'concurrent']), ...CONTENT_HASH })
  ),
  'files/upload_session/append_v2': upload(struct({ cursor: CURSOR }, { close: flag, ...CONTENT_HASH })),
  'files/upload_session/finish': upload(struct({ cursor: CURSOR, commit: struct(...COMMIT) }, CONTENT_HASH))
}
