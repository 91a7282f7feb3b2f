import { createHash } from 'node:crypto'
import type { common, users } from 'dropbox'

type Root = common.TeamRootInfoReference | common.UserRootInfoReference

/** Returns the user's account. */
export function accountOf(user: string, root: Root, isTeam: boolean): users.FullAccount {
  return {
    account_id: accountId(user),
    name: { given_name: user, surname: '', familiar_name: user, display_name: user, abbreviated_name: user },
    email: `${user}@example.com`,
    email_verified: true,
    disabled: false,
    country: 'US',
    locale: 'en',
    referral_link: 'https://www.dropbox.com/referrals/fake',
    is_paired: false,
    account_type: { '.tag': isTeam ? 'business' : 'basic' },
    ...(isTeam && { team_member_id: `dbmid:${accountId(user).slice(5)}` }),
    root_info: root
  }
}

export function spaceOf(used: number, allocated: number, isTeam: boolean): users.SpaceUsage {
  if (!isTeam) return { used, allocation: { '.tag': 'individual', allocated } }
  return {
    used,
    allocation: {
      '.tag': 'team',
      used,
      allocated,
      user_within_team_space_allocated: 0,
      user_within_team_space_limit_type: { '.tag': 'off' },
      user_within_team_space_used_cached: used
    }
  }
}

/** Returns the ID of a user: constant, and 40 characters long like Dropbox's. */
function accountId(user: string): string {
  return `dbid:AA${createHash('sha256').update(user).digest('base64url').slice(0, 33)}`
}
