import type { StorageErrorCode } from '../../src/errors.ts'
import type { LocalCode, PickerProblem } from './problem.ts'

/**
 * All texts of the picker, in English. `{name}` is a placeholder. A text with `{n}` can have plural forms: keys with
 * the suffix `_zero`, `_one`, `_two`, `_few` or `_many` (`Intl.PluralRules` decides which ones a language uses).
 */
export const ENGLISH = {
  label: 'Cloud files',
  providers: 'Clouds',
  connect: 'Connect {provider}',
  connections: '{provider} connections',
  status_REQUIRES_REAUTH: 'Sign-in needed',
  status_ERROR: 'Not working',
  status_DISABLED: 'Disabled',
  breadcrumbs: 'Path',
  unnamedFolder: '…',
  search: 'Search this folder',
  refresh: 'Refresh',
  newFolder: 'New folder',
  folderName: 'Folder name',
  create: 'Create',
  upload: 'Upload',
  uploadHere: 'Drop files to upload them here',
  noFolders: 'Folders cannot be uploaded.',
  name: 'Name',
  size: 'Size',
  modified: 'Modified',
  actions: 'Actions',
  download: 'Download {name}',
  kind_folder: 'Folder',
  kind_drive: 'Drive',
  kind_package: 'Package',
  kind_link: 'Link',
  kind_shortcut: 'Shortcut',
  kind_file: 'File',
  entries: '{n} items',
  entries_one: '{n} item',
  found: '{n} of {total} items',
  added: '{n} items added',
  added_one: '{n} item added',
  removed: '{n} items removed',
  removed_one: '{n} item removed',
  changed: '{n} items changed',
  changed_one: '{n} item changed',
  selected: '{n} selected',
  more: 'Scroll for more.',
  loadMore: 'Load more',
  loading: 'Loading…',
  slow: 'This is taking longer than usual.',
  cancel: 'Cancel',
  cancelled: 'Loading cancelled.',
  cancelledMore: 'Only part of this folder is loaded.',
  retry: 'Try again',
  retryIn: 'Retrying in {time}.',
  waitFor: 'Try again in {time}.',
  empty: 'This folder is empty.',
  emptyRoot: 'No files or folders.',
  nothingFound: 'No matches in the loaded items.',
  searchesLoaded: 'Only loaded items are searched.',
  restarted: 'This folder changed, so it was reloaded.',
  'reason_provider-partial': 'Some items are missing: the provider did not list them.',
  'reason_page-cap': 'Some items are missing: the folder is too large.',
  'reason_duplicate-cursor': 'Some items may be missing: the provider returned the same page twice.',
  reason_more: 'Some items may be missing: the provider stopped early.',
  toRoot: 'Go to top folder',
  nothingConnected: 'No clouds connected yet. Select one to connect.',
  nothingOffered: 'No clouds are available.',
  needsReauth: 'Sign in again to keep using {connection}.',
  isBroken: '{connection} has stopped working.',
  isDisabled: '{connection} was disabled by your administrator.',
  reconnect: 'Sign in again',
  verify: 'Check again',
  connectTitle: 'Connect {provider}',
  reconnectTitle: 'Sign in again: {connection}',
  loginHere: 'Sign in with {provider}',
  useFields: 'Use an app password instead',
  useLogin: 'Sign in with {provider} instead',
  submit: 'Connect',
  optional: '(optional)',
  connecting: 'Connecting…',
  windowOpen: 'Continue in the sign-in window.',
  windowGone: 'The sign-in window was closed. If you signed in, please wait a moment; otherwise start over.',
  windowBlocked: 'Your browser blocked the sign-in window.',
  openWindow: 'Open the sign-in page',
  again: 'Start over',
  fieldRequired: '{title} is required.',
  fieldShort: 'At least {n} characters.',
  fieldLong: 'At most {n} characters.',
  fieldPattern: 'Check the format.',
  fieldNumber: 'Enter a number.',
  fieldSmall: 'At least {n}.',
  fieldLarge: 'At most {n}.',
  transfers: 'Transfers',
  waiting: 'Waiting',
  uploaded: 'Uploaded',
  downloaded: 'Downloaded',
  keepBoth: 'Keep both',
  remove: 'Remove {name} from the list',
  stop: 'Cancel {name}',
  clear: 'Clear finished',
  nameTaken: 'A file or folder with this name already exists.',
  error_UNAUTHENTICATED: 'Your session has expired. Sign in to this application again.',
  error_NETWORK: 'The server cannot be reached. Are you online?',
  error_BAD_ANSWER: 'Unexpected response from the server.',
  error_LOGIN_EXPIRED: 'Sign-in timed out.',
  error_ACCESS_DENIED: 'Access was denied.',
  error_ACCOUNT_DISABLED: 'This account is disabled on the server. Ask its administrator.',
  error_INSUFFICIENT_SCOPE: 'More permissions are needed. Sign in again and allow access.',
  error_CROSS_SITE: 'Requests from this site are not allowed.',
  error_FOLDER_NOT_FOUND: 'This folder no longer exists.',
  error_OBJECT_NOT_FOUND: 'This file no longer exists.',
  error_DOCUMENT_NOT_FOUND: 'This document no longer exists.',
  error_CONNECTION_NOT_FOUND: 'This connection no longer exists.',
  error_CONNECTION_MISSING: 'This cloud is not connected.',
  error_CONNECTION_AMBIGUOUS: 'Select a connection.',
  error_CONNECTION_INACTIVE: 'This connection has stopped working.',
  error_CREDENTIALS_UNREADABLE: 'Connect this cloud again.',
  error_INVALID_CREDENTIALS: '{detail}',
  error_INVALID_ADDRESS: '{detail}',
  error_INVALID_REQUEST: '{detail}',
  error_INVALID_CURSOR: 'This folder has changed. Refresh it.',
  error_CURSOR_EXPIRED: 'This folder has changed. Refresh it.',
  error_INVALID_STATE: 'The sign-in has expired. Start over.',
  error_SCHEME_MISMATCH: '{detail}',
  error_ENDPOINT_FORBIDDEN: 'Connections to this server are not allowed. Ask your administrator.',
  error_ALREADY_EXISTS: 'A file or folder with this name already exists.',
  error_PRECONDITION_FAILED: 'A file or folder with this name already exists.',
  error_PAYLOAD_TOO_LARGE: 'This file is too large.',
  error_UNSUPPORTED_MEDIA_TYPE: 'This file type is not supported.',
  error_RANGE_NOT_SATISFIABLE: 'This file has changed. Try again.',
  error_LOCKED: 'This file is locked by someone else.',
  error_QUOTA_EXCEEDED: 'The storage is full.',
  error_INSUFFICIENT_STORAGE: 'The server is out of storage space.',
  error_UNSUPPORTED: 'This cloud does not support this.',
  error_TOO_MANY_REQUESTS: 'Too many requests. Please wait a moment.',
  error_PROVIDER_UNKNOWN: 'This cloud is not available here.',
  error_PROVIDER_ERROR: 'Unexpected response from the provider.',
  error_PROVIDER_THROTTLED: 'The provider is limiting requests.',
  error_PROVIDER_UNAVAILABLE: 'The provider cannot be reached.',
  error_PROVIDER_TIMEOUT: 'The provider did not respond in time.',
  error_DATABASE_UNAVAILABLE: 'The service is temporarily unavailable.',
  error_AUTHENTICATION_UNAVAILABLE: 'The service is temporarily unavailable.',
  error_SDK_MISSING: 'This cloud is not set up. Ask your administrator.',
  error_SHUTTING_DOWN: 'The server is restarting.',
  error_INTERNAL: 'Something went wrong on the server.',
  errorOther: 'Something went wrong ({code}).'
} as const satisfies Readonly<Record<string, string>> &
  Readonly<Record<`error_${StorageErrorCode | Exclude<LocalCode, 'NO_FOLDERS'>}`, string>>

export type StringKey = keyof typeof ENGLISH
type PluralForm = Intl.LDMLPluralRule

/** Texts of the host that replace the English ones. Missing texts stay English. */
export type PickerStrings = Readonly<Partial<Record<StringKey | `${StringKey}_${PluralForm}`, string>>>

export type Values = Readonly<Record<string, string | number>>

/** Translates a key. Values are inserted as text, never as markup. */
export type Translate = (key: StringKey, values?: Values) => string

export function translator(strings: PickerStrings, locale: string): Translate {
  const rules = new Intl.PluralRules(locale)
  const numbers = new Intl.NumberFormat(locale)
  const texts: Readonly<Record<string, string | undefined>> = { ...ENGLISH, ...strings }
  return (key, values = {}) => {
    const n = values['n']
    const form = typeof n === 'number' ? pluralOf(key, rules.select(n)) : undefined
    return (form ?? texts[key] ?? key).replace(/\{(\w+)\}/g, (_whole, name: string) => {
      const value = values[name] ?? ''
      return typeof value === 'number' ? numbers.format(value) : value
    })
  }

  /** A text of the host replaces the English plural forms too, unless the host also provides that form. */
  function pluralOf(key: StringKey, form: PluralForm): string | undefined {
    const name = `${key}_${form}` as const
    return strings[key] === undefined ? texts[name] : strings[name]
  }
}

/** Returns whether the strings contain the key. */
export function isStringKey(key: string): key is StringKey {
  return Object.hasOwn(ENGLISH, key)
}

/** Returns the locale of an element: the nearest `lang` attribute, else the browser's language. */
export function localeOf(element: Element): string {
  const lang = element.closest('[lang]')?.getAttribute('lang') ?? ''
  return isLocale(lang) ? lang : navigator.language
}

function isLocale(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length > 0
  } catch {
    return false
  }
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

/** Formats numbers and times for a locale. */
export interface Format {
  /** Formats a number of bytes with its unit. Empty if it is unknown. */
  size(bytes: number | null): string
  /** Formats an ISO 8601 time in the browser's time zone. Empty if it is unknown. */
  moment(iso: string | null): string
  duration(seconds: number): string
}

export function formatFor(locale: string): Format {
  const dates = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' })
  const numbers = new Map<string, Intl.NumberFormat>()

  function formatUnit(value: number, unit: string, maximumFractionDigits: number): string {
    const key = `${unit} ${maximumFractionDigits}`
    const formatter =
      numbers.get(key) ??
      new Intl.NumberFormat(locale, {
        style: 'unit',
        unit,
        // The short form is "byte" for any number.
        unitDisplay: unit === 'byte' ? 'long' : 'short',
        maximumFractionDigits
      })
    numbers.set(key, formatter)
    return formatter.format(value)
  }

  return {
    size(bytes) {
      if (bytes === null) return ''
      const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1)
      const value = bytes / 1000 ** power
      return formatUnit(value, UNITS[power] ?? 'byte', value < 10 && power > 0 ? 1 : 0)
    },
    moment(iso) {
      const at = new Date(iso ?? NaN)
      return Number.isNaN(at.getTime()) ? '' : dates.format(at)
    },
    duration: (seconds) =>
      seconds < 120 ? formatUnit(seconds, 'second', 0) : formatUnit(Math.ceil(seconds / 60), 'minute', 0)
  }
}

/** Returns the message of a problem. */
export function problemText(problem: PickerProblem, t: Translate): string {
  // An authentication hook of the host may use another code for 401.
  const key = `error_${problem.isSignedOut ? 'UNAUTHENTICATED' : problem.code}`
  return isStringKey(key) ? t(key, { detail: problem.detail ?? '' }) : t('errorOther', { code: problem.code })
}
