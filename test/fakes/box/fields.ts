import type { BoxType } from './node.ts'
import { BoxMistake } from './failure.ts'

/** What there is of one type. */
interface FieldsOf {
  /** What comes if nothing was asked for. */
  readonly standard: readonly string[]
  /** What comes in lists, and inside of others, if nothing was asked for. */
  readonly mini: readonly string[]
  /** What comes when asked for. */
  readonly more: readonly string[]
}

const BASE = ['type', 'id']
const ITEM = [...BASE, 'etag']
const TIMES = ['created_at', 'modified_at', 'trashed_at', 'purged_at']
const CONTENT_TIMES = ['content_created_at', 'content_modified_at']
const PEOPLE = ['created_by', 'modified_by', 'owned_by']
const COMMON = ['description', 'path_collection', ...TIMES, ...PEOPLE, 'shared_link', 'parent', 'item_status']
const MINI_FILE = [...ITEM, 'sequence_id', 'sha1', 'name', 'file_version']
const MINI_FOLDER = [...ITEM, 'sequence_id', 'name']
const MINI_LINK = [...ITEM, 'sequence_id', 'name', 'url']

/** By the official client's types of each. */
const FIELDS: Readonly<Record<BoxType | 'user', FieldsOf>> = {
  file: {
    mini: MINI_FILE,
    standard: [...MINI_FILE, ...COMMON, ...CONTENT_TIMES, 'size'],
    more: ['permissions', 'extension', 'is_package', 'version_number', 'has_collaborations']
  },
  folder: {
    mini: MINI_FOLDER,
    standard: [...MINI_FOLDER, ...COMMON, ...CONTENT_TIMES, 'size', 'folder_upload_email', 'item_collection'],
    more: ['permissions', 'has_collaborations', 'sync_state']
  },
  web_link: { mini: MINI_LINK, standard: [...MINI_LINK, ...COMMON], more: ['permissions'] },
  user: {
    mini: [...BASE, 'name', 'login'],
    standard: [
      ...[...BASE, 'name', 'login', 'created_at', 'modified_at', 'language', 'timezone', 'space_amount', 'space_used'],
      ...['max_upload_size', 'status', 'job_title', 'phone', 'address', 'avatar_url', 'notification_email']
    ],
    more: ['role', 'enterprise', 'hostname']
  }
}

/** What Box has besides, and nothing of ours asks for. */
const UNSERVED = [
  ...['metadata', 'representations', 'tags', 'lock', 'comment_count', 'expiring_embed_link', 'watermark_info'],
  ...['classification', 'allowed_invitee_roles', 'is_externally_owned', 'expires_at', 'uploader_display_name']
]

/** A parameter `fields`, or none. It replaces what would come by itself. */
export class BoxFields {
  readonly #asked: readonly string[] | undefined
  readonly #names = new Map<string, ReadonlySet<string>>()

  /** @param types of what it is about: in a list, these are all that may be there */
  constructor(text: string | null, types: readonly (BoxType | 'user')[]) {
    if (text === null) return
    this.#asked = text.split(',')
    for (const name of this.#asked) {
      if (UNSERVED.includes(name)) throw new BoxMistake(`the field ${name}, which the fake does not serve`)
      const isKnown = types.some((type) => FIELDS[type].standard.includes(name) || FIELDS[type].more.includes(name))
      if (!isKnown) throw new BoxMistake(`the field ${name}, which there is not`)
    }
    if (new Set(this.#asked).size < this.#asked.length) throw new BoxMistake('a field twice')
  }

  /** What of a thing is sent. With `fields` that is no more than its identity and what was asked for. */
  namesFor(type: BoxType | 'user', byDefault: 'standard' | 'mini'): ReadonlySet<string> {
    const key = `${type} ${byDefault}`
    const known = this.#names.get(key)
    if (known !== undefined) return known
    const { [byDefault]: byItself, standard, more } = FIELDS[type]
    const isThere = (name: string) => standard.includes(name) || more.includes(name)
    const names = this.#asked && [...(type === 'user' ? BASE : ITEM), ...this.#asked.filter(isThere)]
    const found = new Set(names ?? byItself)
    this.#names.set(key, found)
    return found
  }
}
