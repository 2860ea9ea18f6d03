; A robot with two grippers carries balls between rooms.
(define (domain gripper)
  (:requirements :strips :typing)
  (:types room ball gripper)
  (:predicates
    (robot-in ?where - room) (in ?it - ball ?where - room)
    (free ?by - gripper) (carried ?it - ball ?by - gripper))
  (:action move
    :parameters (?from ?to - room)
    :precondition (robot-in ?from)
    :effect (and (robot-in ?to) (not (robot-in ?from))))
  (:action pick
    :parameters (?it - ball ?where - room ?by - gripper)
    :precondition (and (in ?it ?where) (robot-in ?where) (free ?by))
    :effect (and (carried ?it ?by) (not (in ?it ?where)) (not (free ?by))))
  (:action drop
    :parameters (?it - ball ?where - room ?by - gripper)
    :precondition (and (carried ?it ?by) (robot-in ?where))
    :effect (and (in ?it ?where) (free ?by) (not (carried ?it ?by)))))
