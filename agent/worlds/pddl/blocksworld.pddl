; One hand and a table: towers are to be built of blocks.
(define (domain blocksworld)
  (:requirements :strips :typing)
  (:types block)
  (:predicates
    (on ?above ?below - block) (on-table ?it - block) (clear ?it - block)
    (holding ?it - block) (hand-empty))
  (:action pick-up
    :parameters (?it - block)
    :precondition (and (clear ?it) (on-table ?it) (hand-empty))
    :effect (and (holding ?it) (not (clear ?it)) (not (on-table ?it)) (not (hand-empty))))
  (:action put-down
    :parameters (?it - block)
    :precondition (holding ?it)
    :effect (and (on-table ?it) (clear ?it) (hand-empty) (not (holding ?it))))
  (:action stack
    :parameters (?it ?below - block)
    :precondition (and (holding ?it) (clear ?below))
    :effect (and (on ?it ?below) (clear ?it) (hand-empty) (not (holding ?it)) (not (clear ?below))))
  (:action unstack
    :parameters (?it ?below - block)
    :precondition (and (on ?it ?below) (clear ?it) (hand-empty))
    :effect (and (holding ?it) (clear ?below) (not (on ?it ?below)) (not (clear ?it)) (not (hand-empty)))))
