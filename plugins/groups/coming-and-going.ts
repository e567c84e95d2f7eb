import { defineOperation, type Effects, type Operation, ParleyError, Type, type UserId } from '../../broker/plugin.js'
import type { Groups, Scene } from './scene.js'
import { distinct, groupParam, groupResult, named, type UserResult, userResults, users } from './shapes.js'
import { succession } from './succession.js'

const result = (user: UserId, e?: ParleyError): UserResult => e === undefined ? { user } : { user, error: { code: e.code, message: e.message } }
const full = (): ParleyError => new ParleyError('too-large', 'the group is full')

export const joinGroup = (groups: Groups): Operation => defineOperation({
  name: 'group.join',
  summary: 'Comes into a public group or a channel. Idempotent: for a member nothing happens.',
  params: Type.Object({ group: groupParam }),
  result: groupResult,
  who: 'user',
  async handle (call, p) {
    return await groups.change(call, p.group, async scene => {
      if (scene.me !== undefined) return await scene.show()
      if (scene.group.kind === 'private' && !call.admin) throw new ParleyError('forbidden', 'this group is by invitation: an owner or admin has to add you')
      if (await scene.room() < 1) throw full()
      await scene.post({ event: 'joined' }, { members: [{ user: call.user, role: 'member' }] })
      return await scene.show()
    })
  }
})

/**
 * The effects by which members go, and what the entry tells beside: whoever goes, a group that has members has an owner.
 * The last owner's place goes to the oldest admin, else to the oldest member; without any the group is deleted.
 */
async function going (groups: Groups, scene: Scene, losing: readonly UserId[], ownerGoes: boolean): Promise<{ told: object, effects: Effects }> {
  const members: NonNullable<Effects['members']> = losing.map(user => ({ user, role: null }))
  const next = ownerGoes ? await succession(groups.host.directory, scene.group.group, new Set(losing)) : { kind: 'none' as const }
  switch (next.kind) {
    case 'none': return { told: {}, effects: { members } }
    case 'passes': return { told: { owner: next.to }, effects: { members: [...members, { user: next.to, role: 'owner' }] } }
    case 'empty': return { told: { deleted: true }, effects: { group: { ...scene.group, deleted: true }, members } }
  }
}

export const leaveGroup = (groups: Groups): Operation => defineOperation({
  name: 'group.leave',
  summary: 'Leaves a group. When its last owner leaves, the oldest admin, else the oldest member owns it; when its last member leaves, it is deleted.',
  params: Type.Object({ group: groupParam }),
  result: Type.Object({}),
  who: 'user',
  async handle (call, p) {
    return await groups.change(call, p.group, async scene => {
      if (scene.me === undefined) throw new ParleyError('not-member', `you are not a member of ${p.group}`)
      const { told, effects } = await going(groups, scene, [call.user], scene.me.role === 'owner')
      await scene.post({ event: 'left', ...told }, effects)
      return {}
    })
  }
})

export const addMembers = (groups: Groups): Operation => defineOperation({
  name: 'group.add',
  summary: 'Makes users members, all by one entry. Owners and admins. Idempotent: for who is one already nothing happens.',
  params: Type.Object({ group: groupParam, users }),
  result: userResults,
  who: 'user',
  async handle (call, p) {
    const wanted = distinct(p.users, 'users')
    return await groups.change(call, p.group, async scene => {
      scene.mustManage()
      const room = await scene.room()
      const coming: UserId[] = []
      const results: UserResult[] = []
      for (const user of wanted) {
        const fits = await groups.host.directory.member(scene.group.group, user) !== undefined || coming.length < room && coming.push(user) > 0
        results.push(result(user, fits ? undefined : full()))
      }
      if (coming.length > 0) await scene.post({ event: 'added', ...named(coming) }, { members: coming.map(user => ({ user, role: 'member' })) })
      return { users: results }
    })
  }
})

/** Why the caller may not remove this member; undefined: it may. */
function refusal (scene: Scene, user: UserId, role: 'owner' | 'admin' | 'member' | undefined): ParleyError | undefined {
  if (role === undefined) return new ParleyError('not-member', `${user} is not a member`)
  if (user === scene.call.user && !scene.call.admin) return new ParleyError('forbidden', 'leave with group.leave')
  if (role !== 'member' && scene.role !== 'owner') return new ParleyError('forbidden', `only owners may remove an ${role}`)
  return undefined
}

export const removeMembers = (groups: Groups): Operation => defineOperation({
  name: 'group.remove',
  summary: 'Removes members, all by one entry, up to which they may read. Owners remove anybody else, admins ordinary members.',
  params: Type.Object({ group: groupParam, users }),
  result: userResults,
  who: 'user',
  async handle (call, p) {
    const wanted = distinct(p.users, 'users')
    return await groups.change(call, p.group, async scene => {
      scene.mustManage()
      const losing: UserId[] = []
      const results: UserResult[] = []
      let ownerGoes = false
      for (const user of wanted) {
        const role = (await groups.host.directory.member(scene.group.group, user))?.role
        const why = refusal(scene, user, role)
        results.push(result(user, why))
        if (why !== undefined) continue
        losing.push(user)
        if (role === 'owner') ownerGoes = true
      }
      if (losing.length === 0) return { users: results }
      const { told, effects } = await going(groups, scene, losing, ownerGoes)
      await scene.post({ event: 'removed', ...named(losing), ...told }, effects)
      return { users: results }
    })
  }
})
