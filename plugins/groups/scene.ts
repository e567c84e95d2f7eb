import { type Call, type ConvKey, type Effects, type Group, groupId, groupKey, type Host, type Member, ParleyError, type Role } from '../../broker/plugin.js'
import { Lanes } from './lanes.js'
import { type GroupResult, shown } from './shapes.js'

/** What the operations of this plugin share. */
export class Groups {
  readonly lanes = new Lanes()
  constructor (readonly host: Host) {}

  /**
   * Runs a change of a group with its state as it stands then: no other change through this node comes between.
   * @throws ParleyError bad-request, not-found, gone; and what `work` throws
   */
  async change<T> (call: Call, id: string, work: (scene: Scene) => Promise<T>): Promise<T> {
    const group = groupId(id)
    return await this.lanes.run(group, async () => await work(await this.scene(call, id)))
  }

  /** @throws ParleyError bad-request, not-found, gone */
  async scene (call: Call, id: string): Promise<Scene> {
    const group = await this.host.directory.group(groupId(id))
    if (group === undefined) throw new ParleyError('not-found', `there is no group ${id}`)
    if (group.deleted) throw new ParleyError('gone', `the group ${id} was deleted`)
    return new Scene(this.host, call, group, await this.host.directory.member(group.group, call.user))
  }
}

const notMember = (s: Scene): ParleyError => new ParleyError('not-member', `you are not a member of ${s.group.group}`)

/** One caller in front of one group: what is stored of both, and what may be done. */
export class Scene {
  readonly conv: ConvKey
  constructor (private readonly host: Host, readonly call: Call, readonly group: Group, readonly me: Member | undefined) {
    this.conv = groupKey(group.group)
  }

  /** What the caller may act as; an admin of the broker acts as an owner everywhere. */
  get role (): Role | undefined { return this.call.admin ? 'owner' : this.me?.role }

  /** @throws ParleyError not-member */
  mustBelong (): void { if (this.role === undefined) throw notMember(this) }

  /** @throws ParleyError not-member, forbidden */
  mustManage (): void {
    this.mustBelong()
    if (this.role === 'member') throw new ParleyError('forbidden', 'only owners and admins of the group may do this')
  }

  /** @throws ParleyError not-member, forbidden */
  mustOwn (): void {
    this.mustBelong()
    if (this.role !== 'owner') throw new ParleyError('forbidden', 'only owners of the group may do this')
  }

  /** How many may still come in; Infinity without a limit. */
  async room (): Promise<number> {
    const max = this.host.limits.groupMembers
    return max === 0 ? Infinity : max - await this.host.directory.memberCount(this.group.group)
  }

  async post (body: { event: string, [name: string]: unknown }, effects: Effects): Promise<void> {
    await this.host.post({ conv: this.conv, from: this.call.user, body, effects })
  }

  /** The group as the caller is shown it now. */
  async show (group = this.group): Promise<GroupResult> {
    const d = this.host.directory
    return shown(group, await d.memberCount(group.group), (await d.member(group.group, this.call.user))?.role)
  }
}
