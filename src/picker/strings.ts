import type { StorageErrorCode } from '../domain/errors.ts'
import type { LocalCode } from './problem.ts'

/**
 * All texts of the picker, in English. `{name}` is a placeholder. A text with `{n}` can have plural forms: keys with
 * the suffix `_zero`, `_one`, `_two`, `_few` or `_many` (`Intl.PluralRules` decides which ones a language uses).
 */
export const ENGLISH = {
  label: 'Cloud files',
  providers: 'Clouds',
  connect: 'Connect {provider}',
  connections: 'Connections of {provider}',
  status_REQUIRES_REAUTH: 'Sign-in needed',
  status_ERROR: 'Not working',
  status_DISABLED: 'Disabled',
  breadcrumbs: 'Path',
  unnamedFolder: '…',
  search: 'Search in what is loaded',
  refresh: 'Refresh',
  newFolder: 'New folder',
  folderName: 'Name of the new folder',
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
  entries: '{n} entries',
  entries_one: '{n} entry',
  found: '{n} of {total} found',
  selected: '{n} selected',
  more: 'More follow below.',
  loadMore: 'Load more',
  loading: 'Loading…',
  slow: 'The provider is taking its time.',
  cancel: 'Cancel',
  cancelled: 'Loading was cancelled.',
  cancelledMore: 'Not all of the folder is loaded.',
  retry: 'Try again',
  retryIn: 'Trying again in {time}.',
  waitFor: 'Possible again in {time}.',
  empty: 'This folder is empty.',
  emptyRoot: 'There is nothing here.',
  nothingFound: 'Nothing that is loaded matches.',
  restarted: 'The folder has changed and was loaded anew.',
  'reason_provider-partial': 'Not everything is shown: the provider left something out.',
  'reason_page-cap': 'Not everything is shown: the folder is larger than what is listed of it.',
  'reason_duplicate-cursor': 'Not everything is shown: the provider repeated itself.',
  reason_more: 'Not everything is shown: the provider stopped in between.',
  toRoot: 'To the top folder',
  nothingConnected: 'No cloud is connected yet. Choose one to connect it.',
  nothingOffered: 'No cloud can be connected here.',
  needsReauth: '{connection} needs you to sign in again.',
  isBroken: '{connection} does not work any more.',
  isDisabled: '{connection} was disabled by the operator.',
  reconnect: 'Sign in again',
  verify: 'Check again',
  connectTitle: 'Connect {provider}',
  reconnectTitle: 'Sign in again: {connection}',
  loginHere: 'Sign in at the server',
  useFields: 'Use an app password instead',
  useLogin: 'Sign in at the server instead',
  submit: 'Connect',
  optional: '(optional)',
  connecting: 'Connecting…',
  windowOpen: 'Finish signing in in the window that has opened.',
  windowGone: 'The window was closed. If you have finished, this will take a moment; if not, begin again.',
  windowBlocked: 'The browser opened no window.',
  openWindow: 'Open the sign-in page',
  again: 'Begin again',
  fieldRequired: 'This is needed.',
  fieldShort: 'At least {n} characters.',
  fieldLong: 'At most {n} characters.',
  fieldPattern: 'This does not have the form that is expected.',
  fieldNumber: 'This has to be a number.',
  fieldSmall: 'At least {n}.',
  fieldLarge: 'At most {n}.',
  transfers: 'Transfers',
  waiting: 'Waiting',
  uploaded: 'Uploaded',
  downloaded: 'Downloaded',
  keepBoth: 'Keep both',
  remove: 'Remove {name} from the list',
  stop: 'Stop {name}',
  clear: 'Remove what is finished',
  nameTaken: 'A file or folder with this name already exists.',
  error_UNAUTHENTICATED: 'Your session has expired. Sign in to this application again.',
  error_NETWORK: 'The server cannot be reached. Are you online?',
  error_BAD_ANSWER: 'Unexpected response from the server.',
  error_LOGIN_EXPIRED: 'The sign-in took too long.',
  error_ACCESS_DENIED: 'Access was denied.',
  error_ACCOUNT_DISABLED: 'This account is disabled at the server. Contact its administrator.',
  error_INSUFFICIENT_SCOPE: 'More permissions are needed. Sign in again and allow access.',
  error_CROSS_SITE: 'This page may not do that.',
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
  error_ENDPOINT_FORBIDDEN: 'Connections to this server are not allowed. Contact your administrator.',
  error_ALREADY_EXISTS: 'A file or folder with this name already exists.',
  error_PRECONDITION_FAILED: 'A file or folder with this name already exists.',
  error_PAYLOAD_TOO_LARGE: 'This file is too large.',
  error_UNSUPPORTED_MEDIA_TYPE: 'This file type is not supported.',
  error_RANGE_NOT_SATISFIABLE: 'This file has changed. Try again.',
  error_LOCKED: 'This file is locked by someone else.',
  error_QUOTA_EXCEEDED: 'There is no space left.',
  error_INSUFFICIENT_STORAGE: 'There is no space left on the server.',
  error_UNSUPPORTED: 'This cloud does not support this.',
  error_TOO_MANY_REQUESTS: 'Too many requests. Please wait a moment.',
  error_PROVIDER_UNKNOWN: 'This cloud is not available here.',
  error_PROVIDER_ERROR: 'Unexpected response from the provider.',
  error_PROVIDER_THROTTLED: 'The provider is limiting requests.',
  error_PROVIDER_UNAVAILABLE: 'The provider cannot be reached.',
  error_PROVIDER_TIMEOUT: 'The provider did not answer in time.',
  error_DATABASE_UNAVAILABLE: 'The service is temporarily unavailable.',
  error_AUTHENTICATION_UNAVAILABLE: 'The service is temporarily unavailable.',
  error_SDK_MISSING: 'This cloud is not set up. Contact your administrator.',
  error_SHUTTING_DOWN: 'The server is restarting.',
  error_INTERNAL: 'Something went wrong at the server.',
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
