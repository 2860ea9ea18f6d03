; Flat tyres are changed for those in the boot, and the tools go back.
(define (domain tyreworld)
  (:requirements :strips :typing)
  (:types boot hub thing - object
          nuts tool wheel - thing
          wrench jack pump - tool)
  (:predicates
    (in-boot ?it - thing ?of - boot) (have ?it - thing) (open ?it - boot) (closed ?it - boot)
    (on-ground ?it - hub) (raised ?it - hub ?by - jack) (bare ?it - hub)
    (tight ?it - nuts ?at - hub) (loose ?it - nuts ?at - hub) (fastened ?it - hub) (unfastened ?it - hub)
    (mounted ?it - wheel ?at - hub) (inflated ?it - wheel) (flat ?it - wheel) (sound ?it - wheel))
  (:action open-boot
    :parameters (?it - boot)
    :precondition (closed ?it)
    :effect (and (open ?it) (not (closed ?it))))
  (:action close-boot
    :parameters (?it - boot)
    :precondition (open ?it)
    :effect (and (closed ?it) (not (open ?it))))
  (:action fetch
    :parameters (?it - thing ?of - boot)
    :precondition (and (in-boot ?it ?of) (open ?of))
    :effect (and (have ?it) (not (in-boot ?it ?of))))
  (:action put-away
    :parameters (?it - thing ?of - boot)
    :precondition (and (have ?it) (open ?of))
    :effect (and (in-boot ?it ?of) (not (have ?it))))
  (:action loosen
    :parameters (?it - nuts ?at - hub ?with - wrench)
    :precondition (and (have ?with) (tight ?it ?at) (on-ground ?at))
    :effect (and (loose ?it ?at) (not (tight ?it ?at))))
  (:action tighten
    :parameters (?it - nuts ?at - hub ?with - wrench)
    :precondition (and (have ?with) (loose ?it ?at) (on-ground ?at))
    :effect (and (tight ?it ?at) (not (loose ?it ?at))))
  (:action jack-up
    :parameters (?at - hub ?with - jack)
    :precondition (and (on-ground ?at) (have ?with))
    :effect (and (raised ?at ?with) (not (on-ground ?at)) (not (have ?with))))
  (:action jack-down
    :parameters (?at - hub ?with - jack)
    :precondition (raised ?at ?with)
    :effect (and (on-ground ?at) (have ?with) (not (raised ?at ?with))))
  (:action undo
    :parameters (?it - nuts ?at - hub ?with - wrench ?by - jack)
    :precondition (and (raised ?at ?by) (fastened ?at) (have ?with) (loose ?it ?at))
    :effect (and (have ?it) (unfastened ?at) (not (fastened ?at)) (not (loose ?it ?at))))
  (:action do-up
    :parameters (?it - nuts ?at - hub ?with - wrench ?by - jack)
    :precondition (and (have ?with) (unfastened ?at) (raised ?at ?by) (have ?it))
    :effect (and (loose ?it ?at) (fastened ?at) (not (unfastened ?at)) (not (have ?it))))
  (:action take-off
    :parameters (?it - wheel ?at - hub ?by - jack)
    :precondition (and (raised ?at ?by) (mounted ?it ?at) (unfastened ?at))
    :effect (and (have ?it) (bare ?at) (not (mounted ?it ?at))))
  (:action put-on
    :parameters (?it - wheel ?at - hub ?by - jack)
    :precondition (and (have ?it) (bare ?at) (raised ?at ?by) (unfastened ?at))
    :effect (and (mounted ?it ?at) (not (bare ?at)) (not (have ?it))))
  (:action inflate
    :parameters (?it - wheel ?with - pump)
    :precondition (and (have ?with) (flat ?it) (sound ?it))
    :effect (and (inflated ?it) (not (flat ?it)))))
