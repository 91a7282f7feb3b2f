import type { Drive, Identity, IdentitySet, Site, User } from '@microsoft/microsoft-graph-types'
import type { FakeGraphDrive } from './drive.ts'
import { userIdOf } from './ids.ts'
import type { FakeGraphSite, GraphKind } from './node.ts'

/** The quota of a user without an explicit one. */
const DEFAULT_QUOTA = 2 ** 40

/** Business accounts omit fractions of a second. */
export function dateTimeOf(date: Date, kind: GraphKind): string {
  return kind === 'business' ? date.toISOString().replace(/\.\d+Z$/, 'Z') : date.toISOString()
}

export function identityOf(user: string, kind: GraphKind): IdentitySet {
  return { user: { id: userIdOf(kind, user), displayName: user, ...emailOf(user) } satisfies Identity }
}

export function userResource(user: string, kind: GraphKind): User {
  const { email } = emailOf(user)
  return {
    id: userIdOf(kind, user),
    displayName: user,
    givenName: user,
    surname: null,
    userPrincipalName: email,
    // Personal accounts have an address in `userPrincipalName` only.
    mail: kind === 'business' ? email : null,
    preferredLanguage: null,
    businessPhones: [],
    mobilePhone: null,
    jobTitle: null,
    officeLocation: null
  }
}

export function driveResource(drive: FakeGraphDrive, quotaBytes = DEFAULT_QUOTA): Drive {
  const { kind, id, name, owner = 'somebody', site, root } = drive
  const used = drive.sizeOf(root)
  return {
    id,
    name,
    driveType: drive.driveType,
    webUrl: webUrlOf(drive),
    createdDateTime: dateTimeOf(root.created, kind),
    lastModifiedDateTime: dateTimeOf(root.modified, kind),
    owner: site === undefined ? identityOf(owner, kind) : { user: { displayName: site.name } },
    quota: {
      total: quotaBytes,
      used,
      deleted: 0,
      remaining: Math.max(0, quotaBytes - used),
      state: used < quotaBytes ? 'normal' : 'exceeded'
    }
  }
}

export function siteResource({ id, name, created, parent }: FakeGraphSite): Site {
  return {
    id,
    name,
    displayName: name,
    webUrl: `https://contoso.sharepoint.com/sites/${encodeURIComponent(name)}`,
    createdDateTime: dateTimeOf(created, 'business'),
    lastModifiedDateTime: dateTimeOf(created, 'business'),
    siteCollection: { hostname: 'contoso.sharepoint.com' },
    // Only sites without a parent have this.
    ...(parent === undefined && { root: {} })
  }
}

/** The web address of a drive, or of an item in it. */
export function webUrlOf(
  { kind, site, owner = 'somebody', id }: FakeGraphDrive,
  names: readonly string[] = []
): string {
  const path = names.map((name) => `/${encodeURIComponent(name)}`).join('')
  if (kind === 'personal') return `https://onedrive.live.com/${id}${path}`
  if (site !== undefined)
    return `https://contoso.sharepoint.com/sites/${encodeURIComponent(site.name)}/Documents${path}`
  return `https://contoso-my.sharepoint.com/personal/${encodeURIComponent(owner)}/Documents${path}`
}

const emailOf = (user: string) => ({ email: `${user}@example.com` })
