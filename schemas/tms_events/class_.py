"""A class, as far as the bridge reads it."""

import msgspec

from tms_events.course_assignment import Moment


class Class(msgspec.Struct, frozen=True, gc=False):
    """A scheduled, instructor-led event.

    Source: the sender's body, member names as in the TMS API 2.0 model in snake_case. A member that the
    body did not hold, or held as null, is None. What is not listed here, the meetings for one, is still in
    the event's `payload`.

    Attributes:
        id: TMS's number of the class; with the event's `source` it names the entity.
        external_id: the number or name that the customer's own system gave it.
        name: title for people.
        description: plain text.
        html_description: the same with HTML markup; untrusted.
        enabled: whether the class is switched on in TMS.
        confirmation_status_id: TMS's number of the status (0 scheduled, 1 guaranteed to run, 2 cancelled,
            3 rescheduled, 4 tentative, 5 requested, 6 denied, 7 completed), also where the body told a word;
            a number that nobody knows yet stays as it is; None for an unknown word or none.
        course_id: the course that is taught.
        organization_id: the organisation that gives the class.
        organization_name: its name.
        company_id: TMS's number of the company.
        delivery_type_id: 1 physical, 2 virtual, 3 mixed.
        virtual_meeting_host_id: TMS's number of the host of a virtual class.
        custom_virtual_classroom_url: where a virtual class meets; untrusted.
        primary_instructor_id: the instructor in charge.
        instructor_ids: all instructors.
        primary_classroom_id: TMS's number of the room.
        time_zone_id: .NET name of the time zone, such as `W. Europe Standard Time`.
        min_students: fewest students for the class to run.
        max_students: most students that it takes.
        allow_self_enrollment: whether students may enrol by themselves.
        is_public: whether the class is listed for everyone.
        disable_labs: whether its labs are switched off.
        start: when it begins.
        end: when it ends.
        time_zone: IANA name of the time zone that `time_zone_id` means, such as `Europe/Berlin`; None where
            the body tells none that is known.
    """

    id: int
    external_id: str | None = None
    name: str | None = None
    description: str | None = None
    html_description: str | None = None
    enabled: bool | None = None
    confirmation_status_id: int | None = None
    course_id: int | None = None
    organization_id: int | None = None
    organization_name: str | None = None
    company_id: int | None = None
    delivery_type_id: int | None = None
    virtual_meeting_host_id: int | None = None
    custom_virtual_classroom_url: str | None = None
    primary_instructor_id: int | None = None
    instructor_ids: tuple[int, ...] | None = None
    primary_classroom_id: int | None = None
    time_zone_id: str | None = None
    min_students: int | None = None
    max_students: int | None = None
    allow_self_enrollment: bool | None = None
    is_public: bool | None = None
    disable_labs: bool | None = None
    start: Moment | None = None
    end: Moment | None = None
    time_zone: str | None = None
