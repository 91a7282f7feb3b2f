import type { BoxType } from './node.ts'
import { BoxMistake } from './failure.ts'

/** The fields of one type. */
interface FieldsOf {
  /** Sent by default. */
  readonly standard: readonly string[]
  /** Sent by default in lists and in nested objects. */
  readonly mini: readonly string[]
  /** Sent on request only. */
  readonly optional: readonly string[]
}

const BASE_FIELDS = ['type', 'id']
const ITEM_FIELDS = [...BASE_FIELDS, 'etag']
const TIMES = ['created_at', 'modified_at', 'trashed_at', 'purged_at']
const CONTENT_TIMES = ['content_created_at', 'content_modified_at']
const PEOPLE = ['created_by', 'modified_by', 'owned_by']
const COMMON = ['description', 'path_collection', ...TIMES, ...PEOPLE, 'shared_link', 'parent', 'item_status']
const MINI_FILE = [...ITEM_FIELDS, 'sequence_id', 'sha1', 'name', 'file_version']
const MINI_FOLDER = [...ITEM_FIELDS, 'sequence_id', 'name']
const MINI_LINK = [...ITEM_FIELDS, 'sequence_id', 'name', 'url']

/** From the official client's types. */
const FIELDS: Readonly<Record<BoxType | 'user', FieldsOf>> = {
  file: {
    mini: MINI_FILE,
    standard: [...MINI_FILE, ...COMMON, ...CONTENT_TIMES, 'size'],
    optional: ['permissions', 'extension', 'is_package', 'version_number', 'has_collaborations']
  },
  folder: {
    mini: MINI_FOLDER,
    standard: [...MINI_FOLDER, ...COMMON, ...CONTENT_TIMES, 'size', 'folder_upload_email', 'item_collection'],
    optional: ['permissions', 'has_collaborations', 'sync_state']
  },
  web_link: { mini: MINI_LINK, standard: [...MINI_LINK, ...COMMON], optional: ['permissions'] },
  user: {
    mini: [...BASE_FIELDS, 'name', 'login'],
    standard: [
      ...[
        ...BASE_FIELDS,
        'name',
        'login',
        'created_at',
        'modified_at',
        'language',
        'timezone',
        'space_amount',
        'space_used'
      ],
      ...['max_upload_size', 'status', 'job_title', 'phone', 'address', 'avatar_url', 'notification_email']
    ],
    optional: ['role', 'enterprise', 'hostname']
  }
}

/** Fields of Box that the backend does not use. */
const UNSUPPORTED_FIELDS = [
  ...['metadata', 'representations', 'tags', 'lock', 'comment_count', 'expiring_embed_link', 'watermark_info'],
  ...['classification', 'allowed_invitee_roles', 'is_externally_owned', 'expires_at', 'uploader_display_name']
]

/** The parameter `fields`, if any. It replaces the default fields. */
export class BoxFields {
  readonly #requested: readonly string[] | undefined
  readonly #names = new Map<string, ReadonlySet<string>>()

  /** @param types types of the requested items: in a list, all types that may occur */
  constructor(text: string | null, types: readonly (BoxType | 'user')[]) {
    if (text === null) return
    this.#requested = text.split(',')
    for (const name of this.#requested) {
      if (UNSUPPORTED_FIELDS.includes(name)) throw new BoxMistake(`the field ${name}, which the fake does not serve`)
      const isKnown = types.some((type) => FIELDS[type].standard.includes(name) || FIELDS[type].optional.includes(name))
      if (!isKnown) throw new BoxMistake(`the field ${name}, which there is not`)
    }
    if (new Set(this.#requested).size < this.#requested.length) throw new BoxMistake('a field twice')
  }

  /** Returns the fields to send. With `fields`, only the identity and the requested ones. */
  namesFor(type: BoxType | 'user', variant: 'standard' | 'mini'): ReadonlySet<string> {
    const key = `${type} ${variant}`
    const cached = this.#names.get(key)
    if (cached !== undefined) return cached
    const { [variant]: defaults, standard, optional } = FIELDS[type]
    const exists = (name: string) => standard.includes(name) || optional.includes(name)
    const names = this.#requested && [
      ...(type === 'user' ? BASE_FIELDS : ITEM_FIELDS),
      ...this.#requested.filter(exists)
    ]
    const result = new Set(names ?? defaults)
    this.#names.set(key, result)
    return result
  }
}
