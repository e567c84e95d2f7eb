import { ParleyError } from '../domain/errors.js'
import { type ConvKey, groupOf, isGroupKey, peerOf, type UserId } from '../domain/ids.js'
import type { Directory } from '../ports/directory.js'

/** Conversations whose answers are kept; past it the oldest one is looked up again. */
const MAX_CONVERSATIONS = 50_000
const MAX_USERS_EACH = 5_000

/** Who may post where. Answers are kept until something about the conversation changes. */
export class Access {
  private readonly known = new Map<ConvKey, Map<UserId, ParleyError | null>>()
  constructor (private readonly directory: Directory, private readonly unknownUsers: 'store' | 'reject') {}

  /** Null: yes. At once when it is known, as nearly always. */
  mayPost (user: UserId, conv: ConvKey): ParleyError | null | Promise<ParleyError | null> {
    const answer = this.known.get(conv)?.get(user)
    return answer !== undefined ? answer : this.lookUp(user, conv)
  }

  clear (): void { this.known.clear() }

  /** Membership, roles or blocks of the conversation changed. */
  forget (conv: ConvKey): void { this.known.delete(conv) }

  private async lookUp (user: UserId, conv: ConvKey): Promise<ParleyError | null> {
    let of = this.known.get(conv)
    if (of === undefined || of.size >= MAX_USERS_EACH) {
      this.known.set(conv, of = new Map())
      if (this.known.size > MAX_CONVERSATIONS) this.known.delete(this.known.keys().next().value!)
    }
    const answer = isGroupKey(conv) ? await this.group(user, conv) : await this.direct(user, peerOf(conv, user))
    // forgotten meanwhile: the answer may be from before the change, and is given but not kept
    if (this.known.get(conv) === of) of.set(user, answer)
    // a user that does not exist yet may sign in at any time, and nobody would tell
    if (answer?.code === 'not-found') this.known.delete(conv)
    return answer
  }

  private async group (user: UserId, conv: ConvKey): Promise<ParleyError | null> {
    const group = await this.directory.group(groupOf(conv))
    if (group === undefined) return new ParleyError('not-found', 'there is no such group')
    if (group.deleted) return new ParleyError('gone', 'the group was deleted')
    const member = await this.directory.member(groupOf(conv), user)
    if (member === undefined) return new ParleyError('not-member', 'you are not a member of the group')
    if (group.kind === 'channel' && member.role === 'member') return new ParleyError('forbidden', 'only owners and admins post in a channel')
    return null
  }

  private async direct (user: UserId, peer: UserId): Promise<ParleyError | null> {
    if (user === peer) return null
    if (await this.directory.blocks(peer, user)) return new ParleyError('blocked', 'the user takes no messages from you')
    if (this.unknownUsers === 'reject' && !(await this.directory.knows(peer))) return new ParleyError('not-found', 'there is no such user')
    return null
  }
}
